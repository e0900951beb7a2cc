"""The course of an order: what is to be asked for now, and which stage that makes."""

from __future__ import annotations

from collections.abc import Iterator

from contexts.fulfilment.events import Fact, Stage, Step
from contexts.fulfilment.knowledge import Saga, units_by_sku
from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import ReservationReleased, ReservationShipped, StockRefused, StockReserved
from contexts.ordering.commands import AcceptReturn, CancelOrder, CompleteOrder, ConfirmOrder, MarkDispatched
from contexts.ordering.events import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    ReturnAccepted,
    ReturnRequested,
)
from contexts.payments.commands import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from contexts.payments.events import PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentVoided
from contexts.shipping.commands import CancelShipment, CreateShipment
from contexts.shipping.events import ShipmentCancelled, ShipmentDelivered
from contexts.shipping.parcel_lines import ParcelLine

PAYMENT = "payment"
"""The timer that gives up an order whose payment is never answered."""


def next_commands(saga: Saga) -> Iterator[Step]:
    """What is to be asked for now."""
    steps = _undo(saga) if saga.undoing else _go_on(saga)
    yield from (step for step in steps if type(step) not in saga.asked)
    for request in saga.returns[: saga.parcels_waiting]:
        yield from _take_back(request)


def _go_on(saga: Saga) -> Iterator[Step]:
    """Everything the order calls for so far, in the order it is done."""
    order_id, heard = saga.order_id, saga.heard
    yield ReserveStock(order_id=order_id, lines=saga.lines)
    if StockReserved in heard:
        yield AuthorizePayment(
            order_id=order_id,
            amount=saga.total,
            currency=saga.currency,
            payment_method=saga.payment_method,
        )
    if PaymentAuthorized in heard:
        yield ConfirmOrder(order_id=order_id)
        yield CreateShipment(
            order_id=order_id,
            lines=tuple(ParcelLine(sku=line.sku, quantity=line.quantity) for line in saga.lines),
        )
    if saga.parcel is not None:
        yield CapturePayment(order_id=order_id)
        yield ShipReservation(order_id=order_id)
        yield MarkDispatched(order_id=order_id, carrier=saga.parcel.carrier, tracking=saga.parcel.tracking)
        if ShipmentDelivered in heard and OrderCancelled not in heard:
            yield CompleteOrder(order_id=order_id)


def _undo(saga: Saga) -> Iterator[Step]:
    """Everything that undoes the order so far, in reverse order of what was done."""
    order_id, heard = saga.order_id, saga.heard
    if CreateShipment in saga.asked and ShipmentCancelled not in heard:
        # While the parcel may still leave, neither the money nor the stock is let go.
        yield CancelShipment(order_id=order_id)
        return
    if _payment_open(saga):
        yield VoidPayment(order_id=order_id)
    if heard.isdisjoint({StockRefused, ReservationReleased}):
        # Also while the reservation is under way: released first, there will be none.
        yield ReleaseReservation(order_id=order_id)
    if OrderCancelled not in heard:
        yield CancelOrder(order_id=order_id, reason=saga.undoing)


def _take_back(request: ReturnRequested) -> Iterator[Step]:
    order_id, return_id = request.order_id, request.return_id
    yield ReturnStock(order_id=order_id, return_id=return_id, lines=units_by_sku(request.lines))
    yield RefundPayment(order_id=order_id, return_id=return_id, amount=request.refund)
    yield AcceptReturn(order_id=order_id, return_id=return_id)


def stage_of(saga: Saga) -> Stage:  # noqa: PLR0911 - a table
    """Where the order is; a terminal stage is never left."""
    heard = saga.heard
    match saga.stage:
        case Stage.COMPLETED | Stage.CANCELLED | Stage.ABANDONED:
            return saga.stage
        case _ if saga.undoing:
            return Stage.CANCELLED if _undone(saga) else Stage.COMPENSATING
        case _ if _done(heard):
            return Stage.COMPLETED
        case _ if saga.parcel is not None:
            return Stage.DISPATCHED
        case _ if OrderConfirmed in heard:
            return Stage.AWAITING_DISPATCH
        case _ if PaymentAuthorized in heard:
            return Stage.CONFIRMING
        case _ if StockReserved in heard:
            return Stage.AUTHORIZING
        case _:
            return Stage.RESERVING


def _done(heard: frozenset[type[Fact]]) -> bool:
    """Whether the order is paid for, out of the stock, and with the customer or back from there."""
    return {PaymentCaptured, ReservationShipped} <= heard and not heard.isdisjoint(
        {OrderCompleted, ReturnAccepted}
    )


def _undone(saga: Saga) -> bool:
    """Whether nothing is left of the order: every compensation is confirmed by its fact."""
    return (
        OrderCancelled in saga.heard
        and not saga.heard.isdisjoint({StockRefused, ReservationReleased})
        and not _payment_open(saga)
        and (CreateShipment not in saga.asked or ShipmentCancelled in saga.heard)
    )


def _payment_open(saga: Saga) -> bool:
    """Whether money may be held, or may come to be held, for the order."""
    return AuthorizePayment in saga.asked and saga.heard.isdisjoint({PaymentDeclined, PaymentVoided})


def timers_of(saga: Saga) -> frozenset[str]:
    """The timers that must be running."""
    unanswered = AuthorizePayment in saga.asked and PaymentAuthorized not in saga.heard
    return frozenset({PAYMENT}) if unanswered and not saga.undoing else frozenset()
