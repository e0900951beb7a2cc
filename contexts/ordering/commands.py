"""What may be asked about orders."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from contexts.messages import Command, CustomerId, OrderId, ReturnId, Text, Time, UnitLines
from contexts.ordering.order_lines import ReceivedLines, WantedLines

PaymentMethod = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)", description="a payment provider's token")
]


class OrderingCommandMessage(Command, tag=lambda name: f"ordering.{name}"):
    """A command to ordering."""


class PlaceOrder(OrderingCommandMessage):
    """Place an order at the current prices. Afterwards stock is reserved and the payment authorized.

    The order is then confirmed, or cancelled if either fails. Refused if the customer is not registered or
    was forgotten, if a product is unknown or discontinued, if the products have different currencies, if the
    total is too high or one product has too many units, or if the order id has been used with other content.
    `placed_at` and a line's `unit_price` are for callers with the scope `orders:price`.
    """

    order_id: OrderId
    customer_id: CustomerId
    lines: WantedLines
    payment_method: PaymentMethod
    placed_at: Time | None = None


class ConfirmOrder(OrderingCommandMessage):
    order_id: OrderId


class CancelOrder(OrderingCommandMessage):
    """Cancel an order. One that is not confirmed yet is cancelled at once.

    A confirmed order has a shipment, which decides: it is cancelled if the parcel can still be stopped. Until
    then the order's document says that its cancellation is `requested`; afterwards the order is `cancelled`,
    or the cancellation `refused` because the parcel has been dispatched.

    Refused once the order is dispatched, where a return is the way, or while it is abandoned.
    """

    order_id: OrderId
    reason: Text
    customer_id: CustomerId | None = None
    """Whose the order must be; for any other customer it does not exist."""


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
    """Request the return of units of a dispatched or completed order.

    The refund follows when the parcel is received. Refused for an order in another state, for more units than
    were sold and not returned yet, for too many open returns, or if the return id has been used with other
    content.
    """

    order_id: OrderId
    return_id: ReturnId
    lines: UnitLines
    reason: Text
    customer_id: CustomerId | None = None
    """Whose the order must be; for any other customer it does not exist."""


class WithdrawReturn(OrderingCommandMessage):
    """Withdraw a requested return. Refused once its parcel was received, or if it was refused."""

    order_id: OrderId
    return_id: ReturnId
    customer_id: CustomerId | None = None
    """Whose the order must be; for any other customer it does not exist."""


class RefuseReturn(OrderingCommandMessage):
    """Refuse a requested return: nothing of it is refunded.

    Not possible once its parcel was received, or if it was withdrawn.
    """

    order_id: OrderId
    return_id: ReturnId
    reason: Text


class ReceiveReturn(OrderingCommandMessage):
    """Record that the parcel of a return arrived; restocking and the refund follow.

    `return_id` may be left out while exactly one return is open. `lines` say what came, of each SKU how many
    units to restock and how many to write off; left out, everything that was requested came and is restocked.
    Refused if nothing came, if more came than was requested, or if the return was refused, withdrawn or
    received with other content.
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
