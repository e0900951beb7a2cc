"""What a route promises: who may use it, what it takes, what it answers; checked and documented from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contexts.messages import Command
from gateway.http.guard import Access
from gateway.http.ownership import Customers
from gateway.problems import Kind


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One route's promise."""

    access: Access
    customers: Customers = Customers.NONE
    """What it is to a customer's own token."""
    summary: str
    description: str
    """What it does, when it refuses, and what comes back."""
    status: int = 200
    body: type[msgspec.Struct] | None = None
    """What the body is decoded as; one without required fields may be left out."""
    any_body: bool = False
    """Whether a body of any other form is taken, too, and passed over."""
    asks: type[msgspec.Struct] | None = None
    """What the query string is decoded as."""
    answer: Any = None
    """What the answer's body is; None when it has none."""
    media_type: str = "application/json"
    bad_news: int | None = None
    """The status with which the same body says that something is missing."""
    headers: Sequence[str] = ()
    """Those that its answer has beside what every answer of its sort has."""
    problems: Sequence[Kind] = ()
    """Those beside what every route of its sort may answer."""
    exempt_from_limits: bool = False
    """Whether anybody may ask as often as they like; for what costs no more than a refusal."""
    is_command: bool = False
    sends: Sequence[type[Command]] = ()
    """The commands it sends to contexts: the gateway's NATS user may send no others."""
    waits: bool = False
    """Whether it takes `Consistency-Token` and `Prefer: wait`."""
    tagged: bool = False
    """Whether its answer has an ETag."""
    conditional: bool = False
    """Whether it answers 304 to who has the answer already."""
    located: bool = False
    """Whether its answer has a Location."""
