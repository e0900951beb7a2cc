"""What may be asked about orders."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from contexts.messages import Command, CustomerId, OrderId, ReturnId, Text, Time
from contexts.ordering.order_lines import ReturnLines, WantedLines

PaymentMethod = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)", description="a payment provider's token")
]


class OrderingCommandMessage(Command, tag=lambda name: f"ordering.{name}"):
    """A command to ordering."""


class PlaceOrder(OrderingCommandMessage):
    """`placed_at` and a line's `unit_price` are for callers with the scope `orders:price`."""

    order_id: OrderId
    customer_id: CustomerId
    lines: WantedLines
    payment_method: PaymentMethod
    placed_at: Time | None = None


class ConfirmOrder(OrderingCommandMessage):
    order_id: OrderId


class CancelOrder(OrderingCommandMessage):
    """`customer_id`: whose the order must be; to any other there is no such order."""

    order_id: OrderId
    reason: Text
    customer_id: CustomerId | None = None


class MarkDispatched(OrderingCommandMessage):
    order_id: OrderId
    carrier: Text
    tracking: Text


class CompleteOrder(OrderingCommandMessage):
    order_id: OrderId


class RequestReturn(OrderingCommandMessage):
    """`customer_id`: whose the order must be; to any other there is no such order."""

    order_id: OrderId
    return_id: ReturnId
    lines: ReturnLines
    reason: Text
    customer_id: CustomerId | None = None


class AcceptReturn(OrderingCommandMessage):
    order_id: OrderId
    return_id: ReturnId


OrderingCommand = (
    PlaceOrder | ConfirmOrder | CancelOrder | MarkDispatched | CompleteOrder | RequestReturn | AcceptReturn
)
"""Every command of ordering."""
