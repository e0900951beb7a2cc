"""What may be asked about payments; an order has one payment."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from contexts.messages import Amount, Command, Currency, OrderId, Price, ReturnId

PaymentMethod = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)", description="a payment provider's token")
]


class PaymentsCommandMessage(Command, tag=lambda name: f"payments.{name}"):
    """A command to payments."""


class AuthorizePayment(PaymentsCommandMessage):
    order_id: OrderId
    amount: Price
    currency: Currency
    payment_method: PaymentMethod


class CapturePayment(PaymentsCommandMessage):
    """Collect the authorised amount."""

    order_id: OrderId


class VoidPayment(PaymentsCommandMessage):
    """Let go of the authorisation, or make sure that there will be none."""

    order_id: OrderId


class RefundPayment(PaymentsCommandMessage):
    order_id: OrderId
    return_id: ReturnId
    amount: Amount


class CheckPayment(PaymentsCommandMessage):
    """Ask the provider how the payment stands, and record what is not yet known here."""

    order_id: OrderId


PaymentsCommand = AuthorizePayment | CapturePayment | VoidPayment | RefundPayment | CheckPayment
"""Every command of payments."""
