"""What a payment provider can be asked, and what it may answer."""

from __future__ import annotations

from typing import Protocol

import msgspec

from contexts.messages import Currency, OrderId, ReturnId


class Approved(msgspec.Struct, frozen=True):
    """The money is set aside; `reference` is the provider's name for it."""

    reference: str


class Declined(msgspec.Struct, frozen=True):
    """The provider will not set the money aside."""

    reason: str


class Pending(msgspec.Struct, frozen=True):
    """The provider has not made up its mind; it will tell by a webhook."""


class Done(msgspec.Struct, frozen=True):
    """Captured, voided or refunded, now or by an earlier request with the same key."""


class Impossible(msgspec.Struct, frozen=True):
    """The provider's books do not allow it, now or ever."""

    reason: str


Answer = Approved | Declined | Pending | Done | Impossible


class Provider(Protocol):
    """A payment provider; each request has a key of its own: sent again, it has no second effect.

    Every method raises Unavailable when the provider cannot be reached, or does not answer in time, or cannot
    do it yet: the request may then be sent again.
    """

    async def authorize(
        self, order_id: OrderId, amount: int, currency: Currency, method: str
    ) -> Approved | Declined | Pending | Impossible:
        """Set the money (minor units) aside; Impossible once it was let go of or captured."""

    async def capture(self, order_id: OrderId) -> Done | Impossible:
        """Collect what was set aside."""

    async def void(self, order_id: OrderId) -> Done | Impossible:
        """Let go of what was set aside, if anything was; Impossible once it was captured."""

    async def refund(self, order_id: OrderId, return_id: ReturnId, amount: int) -> Done | Impossible:
        """Give back a part (minor units) of what was captured."""
