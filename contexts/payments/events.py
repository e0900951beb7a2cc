"""What has happened to payments; amounts in minor units."""

from __future__ import annotations

from contexts.messages import Amount, Currency, Event, OrderId, ReturnId


class PaymentsEventMessage(Event, tag=lambda name: f"payments.{name}"):
    """An event of payments."""


class PaymentAuthorized(PaymentsEventMessage):
    """`reference` is the provider's name for it."""

    order_id: OrderId
    amount: Amount
    currency: Currency
    reference: str


class PaymentDeclined(PaymentsEventMessage):
    order_id: OrderId
    reason: str


class PaymentCaptured(PaymentsEventMessage):
    order_id: OrderId
    amount: Amount
    currency: Currency


class PaymentVoided(PaymentsEventMessage):
    order_id: OrderId


class PaymentRefunded(PaymentsEventMessage):
    order_id: OrderId
    return_id: ReturnId
    amount: Amount
    currency: Currency


PaymentsEvent = PaymentAuthorized | PaymentDeclined | PaymentCaptured | PaymentVoided | PaymentRefunded
"""Every event of payments."""
