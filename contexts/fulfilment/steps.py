"""What the saga receives, and every step it takes: its effect, what undoes it, what it needs."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Annotated, NamedTuple, get_args

from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import (
    ReservationReleased,
    ReservationShipped,
    StockRefused,
    StockReserved,
    StockReturned,
)
from contexts.messages import Command, Event, OrderId, wire_name
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
    CancellationRequested,
    OrderAbandoned,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderPlaced,
    OrderResumed,
    ReturnAccepted,
    ReturnReceived,
    ReturnRequested,
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
from contexts.shipping.events import ReturnReceived as ParcelReturned
from contexts.shipping.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
)


class TimerFired(Event, tag="fulfilment.TimerFired"):
    """A timer the saga had set is due; it stands among the facts the saga receives."""

    order_id: OrderId
    timer: str


Fact = (
    OrderPlaced
    | OrderConfirmed
    | OrderCancelled
    | OrderDispatched
    | OrderCompleted
    | CancellationRequested
    | ReturnRequested
    | ReturnReceived
    | ReturnAccepted
    | OrderAbandoned
    | OrderResumed
    | StockReserved
    | StockRefused
    | ReservationReleased
    | ReservationShipped
    | StockReturned
    | PaymentAuthorized
    | PaymentDeclined
    | PaymentCaptured
    | PaymentVoided
    | PaymentRefunded
    | PaymentMismatched
    | ShipmentCreated
    | ShipmentDispatched
    | ShipmentDelivered
    | ShipmentCancelled
    | ParcelReturned
    | TimerFired
)
"""What the saga listens to. Earlier versions also acted on ReturnRequested and shipping's ReturnReceived."""


class Rule(NamedTuple):
    """When a step is done, and when it may be sent.

    Any of `facts` shows that it was done, or that it can never be and need not be. `countered_by` makes sure
    of the opposite, whether or not this step was carried out. `needs` must have been done before. `awaited`:
    the saga waits for one of the facts, so an accepted command without one is a failure. `undoes`: pointless
    once the goods have left. `repeatable`: an operator may call for it several times.
    """

    facts: tuple[type[Fact], ...] = ()
    countered_by: tuple[type[Command], ...] = ()
    needs: tuple[type[Command], ...] = ()
    awaited: bool = True
    undoes: bool = False
    repeatable: bool = False


Step = (
    Annotated[
        ReserveStock,
        Rule((StockReserved, StockRefused, ReservationReleased), countered_by=(ReleaseReservation,)),
    ]
    | Annotated[ReleaseReservation, Rule((ReservationReleased, StockRefused), undoes=True)]
    | Annotated[ShipReservation, Rule((ReservationShipped,))]
    | Annotated[ReturnStock, Rule((StockReturned,), awaited=False)]
    # A provider may take its time; the payment timer bounds it.
    | Annotated[
        AuthorizePayment,
        Rule(
            (PaymentAuthorized, PaymentDeclined, PaymentVoided, PaymentMismatched),
            countered_by=(VoidPayment,),
            awaited=False,
        ),
    ]
    | Annotated[CapturePayment, Rule((PaymentCaptured,))]
    | Annotated[VoidPayment, Rule((PaymentVoided, PaymentDeclined), undoes=True)]
    | Annotated[RefundPayment, Rule((PaymentRefunded,), awaited=False)]
    # A customer may cancel while the saga is confirming: the confirmation is refused, and that is no failure.
    | Annotated[
        ConfirmOrder, Rule((OrderConfirmed, OrderCancelled), countered_by=(ApproveCancellation, CancelOrder))
    ]
    | Annotated[CancelOrder, Rule((OrderCancelled,), undoes=True)]
    # Cancelled means that nothing is held and nothing is reserved.
    | Annotated[
        ApproveCancellation, Rule((OrderCancelled,), needs=(VoidPayment, ReleaseReservation), undoes=True)
    ]
    | Annotated[MarkDispatched, Rule((OrderDispatched, OrderCompleted), awaited=False)]
    | Annotated[CompleteOrder, Rule((OrderCompleted,), needs=(MarkDispatched,))]
    | Annotated[AcceptReturn, Rule((ReturnAccepted,), needs=(RefundPayment,), awaited=False)]
    | Annotated[AbandonOrder, Rule((OrderAbandoned,), awaited=False, repeatable=True)]
    | Annotated[ResumeOrder, Rule((OrderResumed,), awaited=False, repeatable=True)]
    | Annotated[
        CreateShipment,
        Rule(
            (ShipmentCreated, ShipmentDispatched, ShipmentCancelled),
            countered_by=(CancelShipment,),
            needs=(ConfirmOrder,),
            awaited=False,
        ),
    ]
    # Dispatched before it could be stopped: the shipment has decided.
    | Annotated[CancelShipment, Rule((ShipmentCancelled, ShipmentDispatched), undoes=True)]
    | Annotated[AbandonShipment, Rule(awaited=False, repeatable=True)]
    | Annotated[ResumeShipment, Rule(awaited=False, repeatable=True)]
)
"""What the saga asks the other contexts to do, each step with its rule.

Earlier versions sent CancelOrder to undo an order.
"""


def _rules() -> dict[type[Command], Rule]:
    """The rules by step; raises TypeError for a rule that names what is not in `Fact` or `Step`."""
    rules: dict[type[Command], Rule] = dict(map(get_args, get_args(Step)))
    for kind, rule in rules.items():
        facts, steps = set(rule.facts), {*rule.countered_by, *rule.needs}
        for name in sorted(it.__name__ for it in (facts - set(get_args(Fact))) | (steps - set(rules))):
            msg = f"the rule of {kind.__name__} names {name}: add it to Fact or Step"
            raise TypeError(msg)
    return rules


RULES = _rules()

AUTHORIZE = wire_name(AuthorizePayment)
VOID = wire_name(VoidPayment)
AUTHORIZED = wire_name(PaymentAuthorized)
DECLINED = wire_name(PaymentDeclined)
VOIDED = wire_name(PaymentVoided)
CAPTURED = wire_name(PaymentCaptured)
MISMATCHED = wire_name(PaymentMismatched)


class NamedRule(NamedTuple):
    """A rule by wire names."""

    facts: tuple[str, ...]
    countered_by: frozenset[str]
    needs: frozenset[str]
    awaited: bool


RULES_BY_NAME: dict[str, NamedRule] = {
    wire_name(kind): NamedRule(
        tuple(map(wire_name, rule.facts)),
        frozenset(map(wire_name, rule.countered_by)),
        frozenset(map(wire_name, rule.needs)),
        rule.awaited,
    )
    for kind, rule in RULES.items()
}
UNDOING = frozenset(wire_name(kind) for kind, rule in RULES.items() if rule.undoes)
REPEATABLE = frozenset(wire_name(kind) for kind, rule in RULES.items() if rule.repeatable)
COMPLETE = wire_name(CompleteOrder)


def identity(message: Fact | Step) -> str:
    """What a fact or a step is and which return it is about: `payments.RefundPayment:r1`."""
    name = wire_name(type(message))
    return_id: str | None = getattr(message, "return_id", None)
    return name if return_id is None else f"{name}:{return_id}"


def payment_open(received: AbstractSet[str], asked: AbstractSet[str]) -> bool:
    """Whether money may be held, or may come to be held, for the order."""
    if VOIDED in received or CAPTURED in received:
        return False
    if not received.isdisjoint({AUTHORIZED, MISMATCHED}):
        return True
    return AUTHORIZE in asked and DECLINED not in received


def settled(
    step: str, received: AbstractSet[str], asked: AbstractSet[str], *, returned: bool = False
) -> bool:
    """Whether a step (its identity) is beyond doubt after these facts and steps (their identities).

    `returned`: the order came back as a whole, so nothing has to complete it.
    """
    name, _, return_id = step.partition(":")
    names = RULES_BY_NAME[name]
    if not asked.isdisjoint(names.countered_by):
        return True
    if name == COMPLETE and returned:
        return True
    if return_id:
        return any(f"{fact}:{return_id}" in received for fact in names.facts)
    done = not received.isdisjoint(names.facts)
    # A payment that was declined may be approved later.
    return done and (name != VOID or not payment_open(received, asked))


def awaited(step: str) -> bool:
    """Whether the saga waits for a fact that shows the step's effect."""
    return RULES_BY_NAME[step.partition(":")[0]].awaited


def needs(step: str) -> frozenset[str]:
    """The wire names of the steps that must have been done before this one makes sense."""
    return RULES_BY_NAME[step.partition(":")[0]].needs
