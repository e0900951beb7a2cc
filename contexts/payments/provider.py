"""What a payment provider can be asked, and what it may answer."""

from __future__ import annotations

from typing import Protocol

import msgspec

from contexts.messages import Amount, Currency, OrderId
from contexts.payments.events import CaptureRequested, PaymentRequested, RefundRequested, VoidRequested
from contexts.payments.provider_payment import PaymentPage, ProviderPayment


class StatusRequest(msgspec.Struct, frozen=True):
    """How does the payment of an order stand? Changes nothing at the provider."""

    order_id: OrderId


Intent = PaymentRequested | CaptureRequested | VoidRequested | RefundRequested
"""What is asked with an idempotency key, and recorded before it is asked."""

Request = Intent | StatusRequest


class Approved(msgspec.Struct, frozen=True):
    """The provider holds this money; `reference` is its name for it."""

    reference: str
    amount: Amount
    currency: Currency


class Declined(msgspec.Struct, frozen=True):
    """The provider will not hold the money."""

    reason: str


class Pending(msgspec.Struct, frozen=True):
    """The provider has not yet decided on the payment."""


class Captured(msgspec.Struct, frozen=True):
    """The provider has collected this money, now or by an earlier request with the same key."""

    amount: Amount
    currency: Currency


class Done(msgspec.Struct, frozen=True):
    """Voided or refunded, now or by an earlier request with the same key."""


class Missing(msgspec.Struct, frozen=True):
    """The provider has no payment of the order; a request may still be on its way there."""


class Impossible(msgspec.Struct, frozen=True):
    """The provider's books do not allow it, now or ever."""

    reason: str


Answer = Approved | Declined | Pending | Captured | Done | Missing | Impossible | ProviderPayment


class Provider(Protocol):
    """A payment provider.

    Every method raises Unavailable when the provider cannot be reached, or does not answer in time, or its
    answer cannot be read. Whether the request was carried out is then unknown: the same request, under the
    same key, is sent again until the answer is definite, and has no second effect.
    """

    async def authorize(self, wanted: PaymentRequested) -> Approved | Declined | Pending | Impossible:
        """Hold the money."""

    async def capture(self, wanted: CaptureRequested) -> Captured | Missing | Impossible:
        """Collect what is held."""

    async def void(self, wanted: VoidRequested) -> Done | Pending | Missing | Impossible:
        """Let go of what is held; Pending while the provider has not decided whether it holds anything."""

    async def refund(self, wanted: RefundRequested) -> Done | Missing | Impossible:
        """Give back a part of what was captured."""

    async def payment(self, order_id: OrderId) -> ProviderPayment | Missing:
        """How a payment stands."""

    async def changed_since(self, since: float, after: str | None) -> PaymentPage:
        """The payments changed since a time (seconds since 1970), the oldest change first, by pages."""
