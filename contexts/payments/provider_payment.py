"""How payments stand in the provider's books."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from contexts.messages import Amount, Currency, OrderId, ReturnId


class ProviderStatus(StrEnum):
    """Where a payment is in the provider's books."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"


class Refund(msgspec.Struct, frozen=True):
    """A part of a payment that was given back; made by hand it has a name of the provider's own."""

    refund_id: ReturnId
    amount: Amount


class ProviderPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment in the provider's books; `amount` is what was authorised, if it was."""

    order_id: OrderId
    status: ProviderStatus
    amount: Amount
    currency: Currency
    captured: Amount = 0
    refunds: tuple[Refund, ...] = ()
    reference: str = ""
    reason: str = ""

    @property
    def held(self) -> int:
        """What the provider may still collect, in minor units."""
        return self.amount if self.status is ProviderStatus.AUTHORIZED else 0

    @property
    def refunded(self) -> int:
        """What was given back, in minor units."""
        return sum(refund.amount for refund in self.refunds)


class PaymentPage(msgspec.Struct, frozen=True):
    """A page of the provider's payments; `next` asks for the page after it, None after the last one."""

    payments: tuple[ProviderPayment, ...]
    next: str | None = None
