"""Every step the saga takes: the facts that show its effect, what undoes it, what it needs."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from contexts.fulfilment.events import HOLD_NAMES, Fact, Stage, Step
from contexts.fulfilment.state import Saga, payment_open
from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import (
    ReservationReleased,
    ReservationShipped,
    StockRefused,
    StockReserved,
    StockReturned,
)
from contexts.messages import wire_name
from contexts.ordering.commands import (
    AbandonOrder,
    AcceptReturn,
    ApproveCancellation,
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    MarkDispatched,
    ResumeOrder,
)
from contexts.ordering.events import (
    OrderAbandoned,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderResumed,
    ReturnAccepted,
)
from contexts.payments.commands import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from contexts.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentMismatched,
    PaymentRefunded,
    PaymentVoided,
)
from contexts.shipping.commands import AbandonShipment, CancelShipment, CreateShipment, ResumeShipment
from contexts.shipping.events import ShipmentCancelled, ShipmentCreated, ShipmentDispatched


class Rule(NamedTuple):
    """When a step is done, and when it may be sent.

    Any of `facts` shows that it was done, or that it can never be and need not be. `countered_by` makes sure
    of the opposite, whether or not this step was carried out. `needs` must have been done before. `awaited`:
    the saga waits for one of the facts, so an accepted command without one is a failure.
    """

    facts: tuple[type[Fact], ...]
    countered_by: tuple[type[Step], ...] = ()
    needs: tuple[type[Step], ...] = ()
    awaited: bool = True


RULES: dict[type[Step], Rule] = {
    ReserveStock: Rule(
        (StockReserved, StockRefused, ReservationReleased), countered_by=(ReleaseReservation,)
    ),
    ReleaseReservation: Rule((ReservationReleased, StockRefused)),
    ShipReservation: Rule((ReservationShipped,)),
    ReturnStock: Rule((StockReturned,), awaited=False),
    # A provider may take its time; the payment timer bounds it.
    AuthorizePayment: Rule(
        (PaymentAuthorized, PaymentDeclined, PaymentVoided, PaymentMismatched),
        countered_by=(VoidPayment,),
        awaited=False,
    ),
    CapturePayment: Rule((PaymentCaptured,)),
    VoidPayment: Rule((PaymentVoided, PaymentDeclined)),
    RefundPayment: Rule((PaymentRefunded,), awaited=False),
    # A customer may cancel while the saga is confirming: the confirmation is refused, and that is no failure.
    ConfirmOrder: Rule((OrderConfirmed, OrderCancelled), countered_by=(ApproveCancellation, CancelOrder)),
    CancelOrder: Rule((OrderCancelled,)),
    # Cancelled means that nothing is held and nothing is reserved.
    ApproveCancellation: Rule((OrderCancelled,), needs=(VoidPayment, ReleaseReservation)),
    MarkDispatched: Rule((OrderDispatched, OrderCompleted), awaited=False),
    CompleteOrder: Rule((OrderCompleted,), needs=(MarkDispatched,)),
    AcceptReturn: Rule((ReturnAccepted,), needs=(RefundPayment,), awaited=False),
    AbandonOrder: Rule((OrderAbandoned,), awaited=False),
    ResumeOrder: Rule((OrderResumed,), awaited=False),
    CreateShipment: Rule(
        (ShipmentCreated, ShipmentDispatched, ShipmentCancelled),
        countered_by=(CancelShipment,),
        needs=(ConfirmOrder,),
        awaited=False,
    ),
    # Dispatched before it could be stopped: the shipment has decided.
    CancelShipment: Rule((ShipmentCancelled, ShipmentDispatched)),
    AbandonShipment: Rule((), awaited=False),
    ResumeShipment: Rule((), awaited=False),
}


class Names(NamedTuple):
    """A rule by wire names."""

    facts: tuple[str, ...]
    countered_by: frozenset[str]
    needs: frozenset[str]
    awaited: bool


NAMES: dict[str, Names] = {
    wire_name(kind): Names(
        tuple(map(wire_name, rule.facts)),
        frozenset(map(wire_name, rule.countered_by)),
        frozenset(map(wire_name, rule.needs)),
        rule.awaited,
    )
    for kind, rule in RULES.items()
}
UNDOING = frozenset(
    wire_name(kind)
    for kind in (CancelShipment, VoidPayment, ReleaseReservation, CancelOrder, ApproveCancellation)
)
VOID = wire_name(VoidPayment)
COMPLETE = wire_name(CompleteOrder)


def settled(step: str, heard: AbstractSet[str], asked: AbstractSet[str], *, returned: bool = False) -> bool:
    """Whether a step (its identity) is beyond doubt after these facts and steps (their identities).

    `returned`: the order came back as a whole, so nothing has to complete it.
    """
    name, _, return_id = step.partition(":")
    names = NAMES[name]
    if not asked.isdisjoint(names.countered_by):
        return True
    if name == COMPLETE and returned:
        return True
    if return_id:
        return any(f"{fact}:{return_id}" in heard for fact in names.facts)
    done = not heard.isdisjoint(names.facts)
    # A payment that was declined may be approved later.
    return done and (name != VOID or not payment_open(heard, asked))


def obsolete(saga: Saga, step: str) -> bool:
    """Whether a step need not be sent, or sent again, as far as the saga knows."""
    if step.partition(":")[0] in HOLD_NAMES:
        return False
    if step in saga.settling:
        return saga.stage is Stage.SETTLED or settled(step, saga.heard, saga.asked)
    return saga.stage in {Stage.ABANDONED, Stage.SETTLED} or no_longer_wanted(saga, step)


def no_longer_wanted(saga: Saga, step: str) -> bool:
    """Whether a step was done, or what was heard since makes it pointless."""
    # The goods are gone: nothing is undone any more.
    pointless = saga.parcel is not None and step.partition(":")[0] in UNDOING
    return pointless or settled(step, saga.heard, saga.asked, returned=saga.returned)


def awaited(step: str) -> bool:
    """Whether the saga waits for a fact that shows the step's effect."""
    return NAMES[step.partition(":")[0]].awaited


def needs(step: str) -> frozenset[str]:
    """The wire names of the steps that must have been done before this one makes sense."""
    return NAMES[step.partition(":")[0]].needs
