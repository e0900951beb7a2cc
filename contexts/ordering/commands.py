"""What may be asked about orders."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from contexts.messages import Command, CustomerId, OrderId, ReturnId, Text, Time
from contexts.ordering.order_lines import ReceivedLines, ReturnLines, WantedLines

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
    """A confirmed order has a shipment, which decides: it is cancelled if the parcel can still be stopped.

    Until then the order's document says that its cancellation is `requested`; afterwards the order is
    `cancelled`, or the cancellation `refused` because the parcel has been dispatched: a return is the way.
    `customer_id`: whose the order must be; to any other there is no such order.
    """

    order_id: OrderId
    reason: Text
    customer_id: CustomerId | None = None


class ApproveCancellation(OrderingCommandMessage):
    """Cancel an order whose shipment has been stopped, or that never had one."""

    order_id: OrderId
    reason: Text


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


class WithdrawReturn(OrderingCommandMessage):
    """Take back the request for a return whose parcel has not come.

    `customer_id`: whose the order must be; to any other there is no such order.
    """

    order_id: OrderId
    return_id: ReturnId
    customer_id: CustomerId | None = None


class RefuseReturn(OrderingCommandMessage):
    """Refuse a return whose parcel has not been received: nothing of it is refunded."""

    order_id: OrderId
    return_id: ReturnId
    reason: Text


class ReceiveReturn(OrderingCommandMessage):
    """The parcel of a return came back.

    `return_id` may be left out while exactly one return is open. `lines` say what came, of each SKU how many
    units to restock and how many to write off; left out, everything that was requested came and is restocked.
    """

    order_id: OrderId
    return_id: ReturnId | None = None
    lines: ReceivedLines | None = None


class AcceptReturn(OrderingCommandMessage):
    """What came back has been taken into the books: stock and refund are done."""

    order_id: OrderId
    return_id: ReturnId


class AbandonOrder(OrderingCommandMessage):
    """Refuse what clients ask about the order until its fulfilment is settled or resumed."""

    order_id: OrderId
    reason: Text


class ResumeOrder(OrderingCommandMessage):
    """Let clients go on with an order that was abandoned."""

    order_id: OrderId


OrderingCommand = (
    PlaceOrder
    | ConfirmOrder
    | CancelOrder
    | ApproveCancellation
    | MarkDispatched
    | CompleteOrder
    | RequestReturn
    | WithdrawReturn
    | RefuseReturn
    | ReceiveReturn
    | AcceptReturn
    | AbandonOrder
    | ResumeOrder
)
"""Every command of ordering."""
