"""The rules of an order: placed, confirmed, dispatched, completed; cancelled only before it is dispatched."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

import msgspec

from contexts.messages import Rejected, ReturnId, Unknown
from contexts.ordering.commands import (
    AcceptReturn,
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    MarkDispatched,
    OrderingCommand,
    PlaceOrder,
    RequestReturn,
)
from contexts.ordering.events import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderingEvent,
    OrderPlaced,
    ReturnAccepted,
    ReturnRequested,
)
from contexts.ordering.order_lines import Sale
from contexts.ordering.price_list import Terms, price
from contexts.ordering.returns import merged, refund, units


class Status(StrEnum):
    """Where an order is."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    DISPATCHED = "dispatched"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Order(msgspec.Struct, frozen=True):
    """An order as it was placed, where it is, and what came back of it or is to come back."""

    placed: OrderPlaced
    status: Status = Status.PLACED
    requested: Mapping[ReturnId, ReturnRequested] = {}
    accepted: frozenset[ReturnId] = frozenset()


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
        case RequestReturn() | AcceptReturn():
            return _return(order, command)
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
        case CancelOrder(customer_id=str()) | RequestReturn(customer_id=str()):
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
    wanted = command.customer_id if isinstance(command, CancelOrder | RequestReturn) else None
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


def _progress(  # noqa: C901, PLR0911 - a table, a row for each answer
    order: Order, command: ConfirmOrder | CancelOrder | MarkDispatched | CompleteOrder
) -> tuple[OrderingEvent, ...]:
    match command, order.status:
        case ConfirmOrder(order_id=order_id), Status.PLACED:
            return (OrderConfirmed(order_id=order_id, sale=_whole_sale(order.placed)),)
        case ConfirmOrder(), status if status is not Status.CANCELLED:
            return ()
        case CancelOrder(order_id=order_id, reason=reason), Status.PLACED:
            return (OrderCancelled(order_id=order_id, reason=reason),)
        case CancelOrder(order_id=order_id, reason=reason), Status.CONFIRMED:
            return (OrderCancelled(order_id=order_id, reason=reason, sale=_whole_sale(order.placed)),)
        case CancelOrder(), Status.CANCELLED:
            return ()
        case MarkDispatched(order_id=order_id, carrier=carrier, tracking=tracking), Status.CONFIRMED:
            return (OrderDispatched(order_id=order_id, carrier=carrier, tracking=tracking),)
        case MarkDispatched(), Status.DISPATCHED | Status.COMPLETED | Status.RETURNED:
            return ()
        case CompleteOrder(order_id=order_id), Status.DISPATCHED:
            return (OrderCompleted(order_id=order_id),)
        case CompleteOrder(), Status.COMPLETED | Status.RETURNED:
            return ()
        case _, status:
            raise Rejected(f"cannot {_verb(command)} an order that is {status}")


def _verb(command: ConfirmOrder | CancelOrder | MarkDispatched | CompleteOrder) -> str:
    match command:
        case ConfirmOrder():
            return "confirm"
        case CancelOrder():
            return "cancel"
        case MarkDispatched():
            return "dispatch"
        case CompleteOrder():
            return "complete"
        case _:
            assert_never(command)


def _return(order: Order, command: RequestReturn | AcceptReturn) -> tuple[OrderingEvent, ...]:
    requested = order.requested.get(command.return_id)
    match command:
        case RequestReturn() if requested is not None:
            if (merged(command.lines), command.reason) == (requested.lines, requested.reason):
                return ()
            raise Rejected(f"return {command.return_id} was requested with other content")
        case RequestReturn() if order.status in {Status.DISPATCHED, Status.COMPLETED}:
            return (_request(order, command),)
        case RequestReturn():
            raise Rejected(f"cannot return anything of an order that is {order.status}")
        case AcceptReturn() if requested is None:
            raise Unknown(f"order {command.order_id} has no return {command.return_id}")
        case AcceptReturn(return_id=return_id):
            return () if return_id in order.accepted else (_accept(order, requested),)
        case _:
            assert_never(command)


def _request(order: Order, command: RequestReturn) -> ReturnRequested:
    lines = merged(command.lines)
    before = units(line for earlier in order.requested.values() for line in earlier.lines)
    return ReturnRequested(
        order_id=command.order_id,
        return_id=command.return_id,
        lines=lines,
        reason=command.reason,
        refund=refund(order.placed.lines, before, lines),
        currency=order.placed.currency,
    )


def _accept(order: Order, back: ReturnRequested) -> ReturnAccepted:
    accepted = order.accepted | {back.return_id}
    whole = _units_back(order, accepted) == _units_sold(order.placed)
    return ReturnAccepted(
        order_id=back.order_id,
        return_id=back.return_id,
        lines=back.lines,
        refund=back.refund,
        sale=Sale(
            placed_at=order.placed.placed_at,
            country=order.placed.country,
            currency=order.placed.currency,
            orders=1 if whole else 0,
            units=sum(units(back.lines).values()),
            amount=back.refund,
        ),
        whole=whole,
    )


def _units_sold(placed: OrderPlaced) -> int:
    return sum(line.quantity for line in placed.lines)


def _units_back(order: Order, returns: frozenset[ReturnId]) -> int:
    return sum(line.quantity for return_id in returns for line in order.requested[return_id].lines)


def _whole_sale(placed: OrderPlaced) -> Sale:
    return Sale(
        placed_at=placed.placed_at,
        country=placed.country,
        currency=placed.currency,
        orders=1,
        units=_units_sold(placed),
        amount=placed.total,
    )


def evolve(  # noqa: PLR0911 - a table, a row for each fact
    order: Order | None, event: OrderingEvent
) -> Order:
    """The order after one more fact."""
    match event:
        case OrderPlaced():
            return Order(event)
        case _ if order is None:
            raise ValueError(f"{event!r} without an OrderPlaced before it")
        case OrderConfirmed():
            return _moved(order, Status.CONFIRMED)
        case OrderCancelled():
            return _moved(order, Status.CANCELLED)
        case OrderDispatched():
            return _moved(order, Status.DISPATCHED)
        case OrderCompleted():
            return _moved(order, Status.COMPLETED)
        case ReturnRequested():
            requested = {**order.requested, event.return_id: event}
            return Order(order.placed, order.status, requested, order.accepted)
        case ReturnAccepted():
            status = Status.RETURNED if event.whole else order.status
            return Order(order.placed, status, order.requested, order.accepted | {event.return_id})
        case _:
            assert_never(event)


def _moved(order: Order, status: Status) -> Order:
    return Order(order.placed, status, order.requested, order.accepted)
