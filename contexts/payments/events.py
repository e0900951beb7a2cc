"""What has happened to payments; amounts in minor units."""

from __future__ import annotations

from contexts.messages import Amount, Currency, Event, OrderId, ReturnId


class PaymentsEventMessage(Event, tag=lambda name: f"payments.{name}"):
    """An event of payments."""


class PaymentRequested(PaymentsEventMessage):
    """The provider is about to be asked to set money aside; until it has answered, money may be held."""

    order_id: OrderId
    amount: Amount
    currency: Currency
    payment_method: str
    idempotency_key: str


class PaymentAuthorized(PaymentsEventMessage):
    """`reference` is the provider's name for it."""

    order_id: OrderId
    amount: Amount
    currency: Currency
    reference: str


class PaymentDeclined(PaymentsEventMessage):
    order_id: OrderId
    reason: str


class CaptureRequested(PaymentsEventMessage):
    """The provider is about to be asked to collect what it holds."""

    order_id: OrderId
    amount: Amount
    currency: Currency
    idempotency_key: str


class PaymentCaptured(PaymentsEventMessage):
    order_id: OrderId
    amount: Amount
    currency: Currency


class VoidRequested(PaymentsEventMessage):
    """The provider is about to be asked to let go of what it holds."""

    order_id: OrderId
    idempotency_key: str


class PaymentVoided(PaymentsEventMessage):
    order_id: OrderId


class RefundRequested(PaymentsEventMessage):
    """The provider is about to be asked to give back a part of what it captured."""

    order_id: OrderId
    return_id: ReturnId
    amount: Amount
    currency: Currency
    idempotency_key: str


class PaymentRefunded(PaymentsEventMessage):
    """`return_id` is the provider's name for a refund that was made there by hand."""

    order_id: OrderId
    return_id: ReturnId
    amount: Amount
    currency: Currency


class PaymentMismatched(PaymentsEventMessage):
    """The provider's books (`amount`, `currency`) are not what was asked; what it holds is let go."""

    order_id: OrderId
    amount: Amount
    currency: Currency
    reason: str


PaymentsEvent = (
    PaymentRequested
    | PaymentAuthorized
    | PaymentDeclined
    | CaptureRequested
    | PaymentCaptured
    | VoidRequested
    | PaymentVoided
    | RefundRequested
    | PaymentRefunded
    | PaymentMismatched
)
"""Every event of payments."""
