"""What has happened to orders."""

from __future__ import annotations

from contexts.messages import Amount, Country, Currency, CustomerId, Event, OrderId, ReturnId, Time
from contexts.ordering.order_lines import OrderLine, ReturnLines, Sale


class OrderingEventMessage(Event, tag=lambda name: f"ordering.{name}"):
    """An event of ordering."""


class OrderPlaced(OrderingEventMessage):
    order_id: OrderId
    customer_id: CustomerId
    country: Country
    lines: tuple[OrderLine, ...]
    total: Amount
    currency: Currency
    payment_method: str
    placed_at: Time


class OrderConfirmed(OrderingEventMessage):
    """`sale` is what it adds to the sales."""

    order_id: OrderId
    sale: Sale


class OrderCancelled(OrderingEventMessage):
    """`sale` is what it takes back from the sales: nothing if the order was never confirmed."""

    order_id: OrderId
    reason: str
    sale: Sale | None = None


class OrderDispatched(OrderingEventMessage):
    order_id: OrderId
    carrier: str
    tracking: str


class OrderCompleted(OrderingEventMessage):
    order_id: OrderId


class ReturnRequested(OrderingEventMessage):
    """`refund` (minor units) is what the lines were sold for."""

    order_id: OrderId
    return_id: ReturnId
    lines: ReturnLines
    reason: str
    refund: Amount
    currency: Currency


class ReturnAccepted(OrderingEventMessage):
    """`sale` is what it takes back from the sales; `whole` when nothing of the order is left sold."""

    order_id: OrderId
    return_id: ReturnId
    lines: ReturnLines
    refund: Amount
    sale: Sale
    whole: bool = False


OrderingEvent = (
    OrderPlaced
    | OrderConfirmed
    | OrderCancelled
    | OrderDispatched
    | OrderCompleted
    | ReturnRequested
    | ReturnAccepted
)
"""Every event of ordering."""
