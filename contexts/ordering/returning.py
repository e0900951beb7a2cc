"""The rules of returns: requested, then received, refused or withdrawn; accepted once refunded."""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from contexts.messages import MAX_LINES, Rejected, Sku, Unknown
from contexts.ordering.commands import (
    AcceptReturn,
    ReceiveReturn,
    RefuseReturn,
    RequestReturn,
    WithdrawReturn,
)
from contexts.ordering.events import (
    OrderingEvent,
    ReturnAccepted,
    ReturnReceived,
    ReturnRefused,
    ReturnRequested,
    ReturnWithdrawn,
)
from contexts.ordering.order import Order, Return, ReturnStatus, Status, restocked
from contexts.ordering.order_lines import ReceivedLine, Sale
from contexts.ordering.returns import check_left, merged, merged_received, paid, units

ReturnCommand = RequestReturn | WithdrawReturn | RefuseReturn | ReceiveReturn | AcceptReturn
"""What is asked about an order's returns."""

MOST_OPEN = 10
"""Returns of one order that wait for their parcels."""

MOST_RETURNS = 100
"""Returns of one order in all."""

MOST_LINES = 10 * MAX_LINES
"""Lines of all returns of one order: its document holds them, and a document has at most 16 MB."""


def decide(order: Order, command: ReturnCommand) -> tuple[OrderingEvent, ...]:
    """Answer a command about a return with the facts it causes; none if nothing changes."""
    match command:
        case RequestReturn():
            return _request(order, command)
        case WithdrawReturn():
            return _withdraw(_named(order, command), command)
        case RefuseReturn():
            return _refuse(_named(order, command), command)
        case ReceiveReturn():
            return _receive(order, command)
        case AcceptReturn():
            return _accept(order, command)
        case _:
            assert_never(command)


def _request(order: Order, command: RequestReturn) -> tuple[OrderingEvent, ...]:
    earlier, lines = order.returns.get(command.return_id), merged(command.lines)
    if earlier is not None:
        if (lines, command.reason) == (earlier.requested.lines, earlier.requested.reason):
            return ()
        raise Rejected(f"return {command.return_id} was requested with other content")
    if order.status not in {Status.DISPATCHED, Status.COMPLETED}:
        raise Rejected(f"cannot return anything of an order that is {order.status}")
    _check_bounds(order, len(lines))
    sold, taken = order.placed.lines, _taken(order)
    check_left(sold, taken, lines)
    requested = ReturnRequested(
        order_id=command.order_id,
        return_id=command.return_id,
        lines=lines,
        reason=command.reason,
        refund=paid(sold, taken + units(lines)) - paid(sold, taken),
        currency=order.placed.currency,
    )
    return (requested,)


def _check_bounds(order: Order, more_lines: int) -> None:
    returns, order_id = order.returns.values(), order.placed.order_id
    if len(_open(order)) >= MOST_OPEN:
        raise Rejected(f"order {order_id} has {MOST_OPEN} open returns, the most it may have")
    if len(returns) >= MOST_RETURNS:
        raise Rejected(f"order {order_id} has had {MOST_RETURNS} returns, the most it may have")
    if sum(len(it.requested.lines) for it in returns) + more_lines > MOST_LINES:
        raise Rejected(f"the returns of order {order_id} may have at most {MOST_LINES} lines together")


def _withdraw(back: Return, command: WithdrawReturn) -> tuple[OrderingEvent, ...]:
    match back.status:
        case ReturnStatus.REQUESTED:
            return (ReturnWithdrawn(order_id=command.order_id, return_id=command.return_id),)
        case ReturnStatus.WITHDRAWN:
            return ()
        case status:
            raise Rejected(f"cannot withdraw return {command.return_id}: it is {status}")


def _refuse(back: Return, command: RefuseReturn) -> tuple[OrderingEvent, ...]:
    match back.status:
        case ReturnStatus.REQUESTED:
            order_id, return_id = command.order_id, command.return_id
            return (ReturnRefused(order_id=order_id, return_id=return_id, reason=command.reason),)
        case ReturnStatus.REFUSED:
            return ()
        case status:
            raise Rejected(f"cannot refuse return {command.return_id}: it is {status}")


def _receive(order: Order, command: ReceiveReturn) -> tuple[OrderingEvent, ...]:
    back = _awaited(order) if command.return_id is None else _named(order, command)
    return_id, wanted = back.requested.return_id, back.requested.lines
    lines = restocked(wanted) if command.lines is None else merged_received(command.lines)
    match back.status:
        case ReturnStatus.REQUESTED:
            _check_came(back, lines)
        case ReturnStatus.RECEIVED | ReturnStatus.ACCEPTED if lines == back.received:
            return ()
        case ReturnStatus.RECEIVED | ReturnStatus.ACCEPTED:
            raise Rejected(f"return {return_id} was received with other content")
        case status:
            raise Rejected(f"cannot receive return {return_id}: it is {status}")
    received = ReturnReceived(
        order_id=command.order_id,
        return_id=return_id,
        lines=lines,
        refund=_refund(order, lines),
        currency=order.placed.currency,
    )
    return (received,)


def _check_came(back: Return, lines: tuple[ReceivedLine, ...]) -> None:
    return_id, wanted = back.requested.return_id, units(back.requested.lines)
    if not lines:
        raise Rejected(f"nothing of return {return_id} came: refuse it instead")
    for line in lines:
        came = line.restocked + line.written_off
        if came > wanted[line.sku]:
            raise Rejected(f"return {return_id} is of {wanted[line.sku]} of {line.sku}, not {came}")


def _refund(order: Order, lines: tuple[ReceivedLine, ...]) -> int:
    """What everything that came was sold for, less what is refunded already: parts add up to the whole."""
    came = units(line for it in order.returns.values() for line in it.came)
    for line in lines:
        came[line.sku] += line.restocked + line.written_off
    refunded = sum(it.refund for it in order.returns.values())
    # In old logs refunds did not follow the order in which returns came, so one may be ahead.
    return max(0, paid(order.placed.lines, came) - refunded)


def _accept(order: Order, command: AcceptReturn) -> tuple[OrderingEvent, ...]:
    back = order.returns.get(command.return_id)
    match back:
        case None:
            raise Unknown(f"order {command.order_id} has no return {command.return_id}")
        case Return(status=ReturnStatus.ACCEPTED):
            return ()
        case Return(status=ReturnStatus.RECEIVED):
            return (_accepted(order, back),)
        case Return(status=ReturnStatus.REQUESTED):
            # Shipping received it before returns were received here: it was refunded as requested.
            whole = Return(
                back.requested, back.status, restocked(back.requested.lines), back.requested.refund
            )
            return (_accepted(order, whole),)
        case Return(status=status):
            raise Rejected(f"cannot accept return {command.return_id}: it is {status}")


def _accepted(order: Order, back: Return) -> ReturnAccepted:
    placed = order.placed
    others = sum(
        sum(units(it.came).values()) for it in order.returns.values() if it.status is ReturnStatus.ACCEPTED
    )
    came = sum(units(back.came).values())
    whole = others + came == sum(units(placed.lines).values())
    return ReturnAccepted(
        order_id=placed.order_id,
        return_id=back.requested.return_id,
        lines=back.came,
        refund=back.refund,
        sale=Sale(
            placed_at=placed.placed_at,
            country=placed.country,
            currency=placed.currency,
            orders=1 if whole else 0,
            units=came,
            amount=back.refund,
        ),
        whole=whole,
    )


def _named(order: Order, command: WithdrawReturn | RefuseReturn | ReceiveReturn) -> Return:
    back = None if command.return_id is None else order.returns.get(command.return_id)
    if back is None:
        raise Rejected(f"order {command.order_id} has no return {command.return_id}")
    return back


def _awaited(order: Order) -> Return:
    awaited, order_id = _open(order), order.placed.order_id
    if not awaited:
        raise Rejected(f"order {order_id} awaits no return")
    if len(awaited) > 1:
        names = ", ".join(it.requested.return_id for it in awaited)
        raise Rejected(f"order {order_id} awaits the returns {names}: say which of them came")
    return awaited[0]


def _open(order: Order) -> list[Return]:
    return [it for it in order.returns.values() if it.status is ReturnStatus.REQUESTED]


def _taken(order: Order) -> Counter[Sku]:
    return units(line for it in order.returns.values() for line in it.taken)
