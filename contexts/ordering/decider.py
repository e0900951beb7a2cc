"""The rules of an order: placed, confirmed, dispatched, completed; cancelled only before it is dispatched."""

from __future__ import annotations

from typing import assert_never

from contexts.messages import Rejected, Unknown
from contexts.ordering import returning
from contexts.ordering.commands import (
    AbandonOrder,
    ApproveCancellation,
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    MarkDispatched,
    OrderingCommand,
    PlaceOrder,
    ReceiveReturn,
    RefuseReturn,
    RequestReturn,
    ResumeOrder,
    WithdrawReturn,
)
from contexts.ordering.events import (
    CancellationRefused,
    CancellationRequested,
    OrderAbandoned,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderingEvent,
    OrderPlaced,
    OrderResumed,
)
from contexts.ordering.order import Order, Status, evolve
from contexts.ordering.order_lines import Sale
from contexts.ordering.price_list import Terms, price
from contexts.ordering.returning import ReturnCommand
from contexts.ordering.returns import units

__all__ = ["Order", "Status", "check_theirs", "decide", "evolve"]

Progress = ConfirmOrder | CancelOrder | ApproveCancellation | MarkDispatched | CompleteOrder
"""What moves an order on, or ends it."""

FromClients = CancelOrder | RequestReturn | WithdrawReturn | RefuseReturn | ReceiveReturn
"""What clients ask about an order that was placed; the rest comes from the saga."""


def decide(
    order: Order | None, command: OrderingCommand, terms: Terms | None = None
) -> tuple[OrderingEvent, ...]:
    """Answer a command with the facts it causes; none if nothing changes.

    A new order is placed on `terms`.
    """
    match command:
        case PlaceOrder():
            return _place(order, command, terms)
        case _ if order is None or _is_anothers(order, command):
            raise _no_such(command)
        case AbandonOrder() if not order.abandoned:
            return (OrderAbandoned(order_id=command.order_id, reason=command.reason),)
        case ResumeOrder() if order.abandoned:
            return (OrderResumed(order_id=command.order_id),)
        case AbandonOrder() | ResumeOrder():
            return ()
        case _ if order.abandoned and isinstance(command, FromClients):
            raise Rejected(f"order {command.order_id} is abandoned: an operator has to settle or resume it")
        case _ if isinstance(command, ReturnCommand):
            return returning.decide(order, command)
        case _:
            return _progress(order, command)


def _place(order: Order | None, command: PlaceOrder, terms: Terms | None) -> tuple[OrderingEvent, ...]:
    if order is not None:
        if _same(order.placed, command):
            return ()
        raise _taken(command)
    if terms is None:
        raise ValueError("an order cannot be placed without terms")
    priced = price(command, terms)
    return (
        OrderPlaced(
            order_id=command.order_id,
            customer_id=command.customer_id,
            country=priced.country,
            lines=priced.lines,
            total=priced.total,
            currency=priced.currency,
            payment_method=command.payment_method,
            placed_at=command.placed_at or terms.time,
        ),
    )


def check_theirs(order: Order | None, command: OrderingCommand) -> None:
    """Raise what a customer is told who asks about an order that is somebody else's or not there."""
    match command:
        case (
            CancelOrder(customer_id=str())
            | RequestReturn(customer_id=str())
            | WithdrawReturn(customer_id=str())
        ):
            if order is None or _is_anothers(order, command):
                raise _no_such(command)
        case PlaceOrder(customer_id=customer_id):
            if order is not None and order.placed.customer_id != customer_id:
                raise _taken(command)


def _taken(command: PlaceOrder) -> Rejected:
    return Rejected(f"order {command.order_id} was placed with other content")


def _no_such(command: OrderingCommand) -> Unknown:
    return Unknown(f"there is no order {command.order_id}")


def _is_anothers(order: Order, command: OrderingCommand) -> bool:
    """Whether a customer asks about an order of somebody else's."""
    asked_by_customers = CancelOrder | RequestReturn | WithdrawReturn
    wanted = command.customer_id if isinstance(command, asked_by_customers) else None
    return wanted not in {None, order.placed.customer_id}


def _same(placed: OrderPlaced, command: PlaceOrder) -> bool:
    """Whether the command asks for what was placed; what it leaves open was settled when it was placed."""
    return (
        (command.customer_id, command.payment_method) == (placed.customer_id, placed.payment_method)
        and command.placed_at in {None, placed.placed_at}
        and len(command.lines) == len(placed.lines)
        and all(
            (wanted.sku, wanted.quantity) == (line.sku, line.quantity)
            and wanted.unit_price in {None, line.unit_price}
            for wanted, line in zip(command.lines, placed.lines, strict=True)
        )
    )


def _progress(  # noqa: C901, PLR0911, PLR0912 - a table, a row for each answer
    order: Order, command: Progress
) -> tuple[OrderingEvent, ...]:
    match command, order.status:
        case ConfirmOrder(order_id=order_id), Status.PLACED:
            return (OrderConfirmed(order_id=order_id, sale=_whole_sale(order.placed)),)
        case ConfirmOrder(), status if status is not Status.CANCELLED:
            return ()
        case ((CancelOrder() | ApproveCancellation()), Status.PLACED):
            return (OrderCancelled(order_id=command.order_id, reason=command.reason),)
        case CancelOrder(), Status.CONFIRMED if order.cancelling:
            return ()
        case CancelOrder(), Status.CONFIRMED:
            return (CancellationRequested(order_id=command.order_id, reason=command.reason),)
        case CancelOrder(), Status.DISPATCHED | Status.COMPLETED | Status.RETURNED:
            raise Rejected(f"cannot cancel an order that is {order.status}: a return is the way")
        case ApproveCancellation(), Status.CONFIRMED:
            sale = _whole_sale(order.placed)
            return (OrderCancelled(order_id=command.order_id, reason=command.reason, sale=sale),)
        case ((CancelOrder() | ApproveCancellation()), Status.CANCELLED):
            return ()
        case MarkDispatched(), Status.CONFIRMED:
            return _dispatched(order, command)
        case MarkDispatched(), Status.DISPATCHED | Status.COMPLETED | Status.RETURNED:
            return ()
        case CompleteOrder(order_id=order_id), Status.DISPATCHED:
            return (OrderCompleted(order_id=order_id),)
        case CompleteOrder(), Status.COMPLETED | Status.RETURNED:
            return ()
        case _, status:
            raise Rejected(f"cannot {_verb(command)} an order that is {status}")


def _dispatched(order: Order, command: MarkDispatched) -> tuple[OrderingEvent, ...]:
    order_id = command.order_id
    dispatched = OrderDispatched(order_id=order_id, carrier=command.carrier, tracking=command.tracking)
    if order.cancelling:
        return (CancellationRefused(order_id=order_id, reason="dispatched"), dispatched)
    return (dispatched,)


def _verb(command: Progress) -> str:
    match command:
        case ConfirmOrder():
            return "confirm"
        case CancelOrder() | ApproveCancellation():
            return "cancel"
        case MarkDispatched():
            return "dispatch"
        case CompleteOrder():
            return "complete"
        case _:
            assert_never(command)


def _whole_sale(placed: OrderPlaced) -> Sale:
    return Sale(
        placed_at=placed.placed_at,
        country=placed.country,
        currency=placed.currency,
        orders=1,
        units=sum(units(placed.lines).values()),
        amount=placed.total,
    )
