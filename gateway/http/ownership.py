"""What a customer's own token reaches: their own orders and data, products, and nothing else.

Scopes say what a token is for; ownership says whose things it is for. Staff's tokens reach everybody's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from gateway.http.request import RequestContext
from gateway.problems import NOT_YOURS, Problem


class Customers(StrEnum):
    """What a route is to a customer's token."""

    NONE = "none"
    """Closed: for staff. What a route is that says nothing."""
    ALL = "all"
    """The same for everybody."""
    OWN = "own"
    """Open as far as it is about the customer; others' things are as if they were not there, or refused."""


def own_customer(incoming: RequestContext, customer_id: str) -> None:
    """Raise a Problem if the caller is a customer, and another one than this."""
    own = incoming.caller.customer_id
    if own is not None and own != customer_id:
        raise Problem(NOT_YOURS, f"this token is for the customer {own} alone", field="customer_id")


def own_only(incoming: RequestContext, customer_id: str | None) -> str | None:
    """Whose things a list is of: a customer's own, whether or not they say so. Raises a Problem."""
    if customer_id is not None:
        own_customer(incoming, customer_id)
    return customer_id or incoming.caller.customer_id


def if_own(incoming: RequestContext, found: dict[str, Any] | None) -> dict[str, Any] | None:
    """A document with a `customer_id`, unless the caller is another customer: then there is none."""
    own = incoming.caller.customer_id
    return found if found is None or own is None or found["customer_id"] == own else None
