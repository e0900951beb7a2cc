"""The process of an order: what is to be asked for now, which stage that makes, what is outstanding."""

from __future__ import annotations

from collections.abc import Iterator

from contexts.fulfilment.events import TERMINAL, Stage
from contexts.fulfilment.state import Saga
from contexts.fulfilment.steps import (
    AUTHORIZE,
    AUTHORIZED,
    CAPTURED,
    DECLINED,
    MISMATCHED,
    REPEATABLE,
    UNDOING,
    VOIDED,
    Step,
    identity,
    payment_open,
    settled,
)
from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import ReservationReleased, ReservationShipped, StockRefused, StockReserved
from contexts.messages import Units
from contexts.ordering.commands import (
    AcceptReturn,
    ApproveCancellation,
    CompleteOrder,
    ConfirmOrder,
    MarkDispatched,
)
from contexts.ordering.events import OrderCancelled, OrderCompleted, OrderConfirmed, ReturnReceived
from contexts.payments.commands import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from contexts.shipping.commands import CancelShipment, CreateShipment
from contexts.shipping.events import ShipmentCancelled, ShipmentDelivered

PAYMENT = "payment"
"""The timer that gives up an order whose payment is never answered."""

NOTHING_MORE = frozenset({Stage.ABANDONED, Stage.SETTLED})


def next_commands(saga: Saga) -> Iterator[Step]:
    """What is to be asked for now, and was not asked for before."""
    yield from (step for step in open_steps(saga) if identity(step) not in saga.asked)


def open_steps(saga: Saga) -> Iterator[Step]:
    """What the order calls for and nothing shows to be done."""
    if saga.stage in NOTHING_MORE:
        return
    steps = _undo(saga) if saga.undoing else _go_on(saga)
    yield from (
        step
        for step in steps
        if not settled(identity(step), saga.received, saga.asked, returned=saga.returned)
    )


def _go_on(saga: Saga) -> Iterator[Step]:
    """Everything the order calls for so far, in the order it is done."""
    order_id = saga.order_id
    yield ReserveStock(order_id=order_id, lines=saga.lines)
    reserved = saga.has_received(StockReserved)
    if reserved:
        yield AuthorizePayment(
            order_id=order_id,
            amount=saga.total,
            currency=saga.currency,
            payment_method=saga.payment_method,
        )
    if MISMATCHED in saga.received:
        if payment_open(saga.received, saga.asked):
            yield VoidPayment(order_id=order_id)
    elif reserved and AUTHORIZED in saga.received:
        yield ConfirmOrder(order_id=order_id)
        yield CreateShipment(
            order_id=order_id,
            lines=saga.lines,
        )
    if saga.parcel is not None:
        yield from _dispatched(saga)
    elif saga.cancelling:
        # The shipment decides: it is stopped, or it has left.
        yield CancelShipment(order_id=order_id)
    if CAPTURED in saga.received and saga.has_received(ReservationShipped):
        # What was not collected cannot be refunded, what is not out of stock cannot come back.
        for back in saga.returns:
            yield from _take_back(back)


def _dispatched(saga: Saga) -> Iterator[Step]:
    """What follows once the goods are gone; ordering is told first, so that nobody cancels any more."""
    assert saga.parcel is not None
    order_id, parcel = saga.order_id, saga.parcel
    yield MarkDispatched(order_id=order_id, carrier=parcel.carrier, tracking=parcel.tracking)
    yield ShipReservation(order_id=order_id)
    yield CapturePayment(order_id=order_id)
    # Completed means paid and delivered.
    delivered = saga.has_received(ShipmentDelivered) and not saga.has_received(OrderCancelled)
    if CAPTURED in saga.received and delivered:
        yield CompleteOrder(order_id=order_id)


def restock(back: ReturnReceived) -> Iterator[ReturnStock]:
    """What puts the units of a return back into stock that can be sold again."""
    lines = tuple(Units(sku=line.sku, quantity=line.restocked) for line in back.lines if line.restocked)
    if lines:
        yield ReturnStock(order_id=back.order_id, return_id=back.return_id, lines=lines)


def _take_back(back: ReturnReceived) -> Iterator[Step]:
    order_id, return_id = back.order_id, back.return_id
    yield from restock(back)
    yield RefundPayment(order_id=order_id, return_id=return_id, amount=back.refund)
    yield AcceptReturn(order_id=order_id, return_id=return_id)


def _undo(saga: Saga) -> Iterator[Step]:
    """Everything that undoes the order so far, in reverse order of what was done."""
    order_id = saga.order_id
    if shipment_possible(saga) and not saga.has_received(ShipmentCancelled):
        # While the parcel may still leave, neither the money nor the stock is let go.
        yield CancelShipment(order_id=order_id)
        return
    if payment_open(saga.received, saga.asked):
        yield VoidPayment(order_id=order_id)
    if not saga.has_received(StockRefused, ReservationReleased):
        # Also while the reservation is under way: released first, there will be none.
        yield ReleaseReservation(order_id=order_id)
    if not saga.has_received(OrderCancelled):
        yield ApproveCancellation(order_id=order_id, reason=saga.undoing)


def shipment_possible(saga: Saga) -> bool:
    """Whether there may be a shipment: it is created once the order is confirmed."""
    return saga.has_asked(CreateShipment) or saga.has_received(OrderConfirmed)


def stage_of(saga: Saga) -> Stage:  # noqa: PLR0911 - a table
    """Where the order is; a terminal stage is never left."""
    match saga.stage:
        case Stage.ABANDONED if saga.settling and not outstanding_settlement(saga):
            return Stage.SETTLED
        case Stage.ABANDONED:
            return Stage.ABANDONED
        case Stage() as stage if stage in TERMINAL:
            return stage
        case _ if saga.undoing:
            return Stage.CANCELLED if _undone(saga) else Stage.COMPENSATING
        case _ if _done(saga):
            return Stage.COMPLETED
        case _ if saga.parcel is not None:
            return Stage.DISPATCHED
        case _ if saga.has_received(OrderConfirmed):
            return Stage.AWAITING_DISPATCH
        case _ if AUTHORIZED in saga.received:
            return Stage.CONFIRMING
        case _ if saga.has_received(StockReserved):
            return Stage.AUTHORIZING
        case _:
            return Stage.RESERVING


def outstanding_settlement(saga: Saga) -> frozenset[str]:
    """The steps of an operator's settlement that nothing shows to be done."""
    return frozenset(step for step in saga.settling if not settled(step, saga.received, saga.asked))


def _done(saga: Saga) -> bool:
    """Whether the order is paid for, out of the stock, and with the customer or back from there."""
    return (
        CAPTURED in saga.received
        and saga.has_received(ReservationShipped)
        and (saga.has_received(OrderCompleted) or saga.returned)
    )


def _undone(saga: Saga) -> bool:
    """Whether nothing is left of the order: every compensation is confirmed by its fact."""
    return (
        saga.has_received(OrderCancelled)
        and saga.has_received(StockRefused, ReservationReleased)
        and not payment_open(saga.received, saga.asked)
        and (not shipment_possible(saga) or saga.has_received(ShipmentCancelled))
    )


def timers_of(saga: Saga) -> frozenset[str]:
    """The timers that must be running."""
    answered = not saga.received.isdisjoint({AUTHORIZED, DECLINED, VOIDED, MISMATCHED})
    waiting = AUTHORIZE in saga.asked and not answered and not saga.undoing
    ended = saga.stage in TERMINAL or saga.stage is Stage.ABANDONED
    return frozenset({PAYMENT}) if waiting and not ended else frozenset()


MONEY_UNANSWERED = "payment unanswered"
MONEY_HELD = "money held"
MONEY_CAPTURED = "money captured"
STOCK_RESERVED = "stock reserved"
PARCEL_OUT = "parcel out"
RETURN = "return "


def outstanding(saga: Saga) -> tuple[str, ...]:
    """What an order still holds: money, stock, a parcel under way, returns that are not refunded."""
    found: list[str] = []
    if payment_open(saga.received, saga.asked):
        known = not saga.received.isdisjoint({AUTHORIZED, MISMATCHED})
        found.append(MONEY_HELD if known else MONEY_UNANSWERED)
    if CAPTURED in saga.received and not (saga.has_received(OrderCompleted) or saga.returned):
        found.append(MONEY_CAPTURED)
    reserving = saga.has_received(StockReserved) or saga.has_asked(ReserveStock)
    if reserving and not saga.has_received(StockRefused, ReservationReleased, ReservationShipped):
        found.append(STOCK_RESERVED)
    if saga.parcel is not None and not saga.has_received(ShipmentDelivered):
        found.append(PARCEL_OUT)
    found.extend(f"{RETURN}{back.return_id}" for back in saga.returns)
    return tuple(found)


def obsolete(saga: Saga, step: str) -> bool:
    """Whether a step need not be sent, or sent again, as far as the saga knows."""
    if step.partition(":")[0] in REPEATABLE:
        return False
    if step in saga.settling:
        return saga.stage is Stage.SETTLED or settled(step, saga.received, saga.asked)
    return saga.stage in {Stage.ABANDONED, Stage.SETTLED} or no_longer_wanted(saga, step)


def no_longer_wanted(saga: Saga, step: str) -> bool:
    """Whether a step was done, or what was received since makes it pointless."""
    # The goods are gone: nothing is undone any more.
    pointless = saga.parcel is not None and step.partition(":")[0] in UNDOING
    return pointless or settled(step, saga.received, saga.asked, returned=saga.returned)
