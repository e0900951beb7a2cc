"""What has happened to orders."""

from __future__ import annotations

from contexts.messages import Amount, Country, Currency, CustomerId, Event, OrderId, ReturnId, Time, UnitLines
from contexts.ordering.order_lines import OrderLine, ReceivedLines, Sale


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


class CancellationRequested(OrderingEventMessage):
    """The order is cancelled if its shipment can still be stopped."""

    order_id: OrderId
    reason: str


class CancellationRefused(OrderingEventMessage):
    order_id: OrderId
    reason: str


class OrderDispatched(OrderingEventMessage):
    order_id: OrderId
    carrier: str
    tracking: str


class OrderCompleted(OrderingEventMessage):
    order_id: OrderId


class ReturnRequested(OrderingEventMessage):
    """`refund` (minor units) is what the lines were sold for; what is refunded depends on what comes."""

    order_id: OrderId
    return_id: ReturnId
    lines: UnitLines
    reason: str
    refund: Amount
    currency: Currency


class ReturnWithdrawn(OrderingEventMessage):
    order_id: OrderId
    return_id: ReturnId


class ReturnRefused(OrderingEventMessage):
    order_id: OrderId
    return_id: ReturnId
    reason: str


class ReturnReceived(OrderingEventMessage):
    """`lines` is what came, one line for each SKU; `refund` (minor units) is what it was sold for."""

    order_id: OrderId
    return_id: ReturnId
    lines: ReceivedLines
    refund: Amount
    currency: Currency


class ReturnAccepted(OrderingEventMessage):
    """`lines` and `refund` are of what came, `sale` is what it takes back from the sales.

    `whole` when nothing of the order is left sold.
    """

    order_id: OrderId
    return_id: ReturnId
    lines: UnitLines
    refund: Amount
    sale: Sale
    whole: bool = False


class OrderAbandoned(OrderingEventMessage):
    """Its fulfilment was given up: clients may ask nothing about the order until it is resumed."""

    order_id: OrderId
    reason: str


class OrderResumed(OrderingEventMessage):
    order_id: OrderId


OrderingEvent = (
    OrderPlaced
    | OrderConfirmed
    | OrderCancelled
    | CancellationRequested
    | CancellationRefused
    | OrderDispatched
    | OrderCompleted
    | ReturnRequested
    | ReturnWithdrawn
    | ReturnRefused
    | ReturnReceived
    | ReturnAccepted
    | OrderAbandoned
    | OrderResumed
)
"""Every event of ordering."""
