"""What the saga knows of an order: the facts it has received and the steps it has asked for."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from contexts.fulfilment.events import Stage
from contexts.fulfilment.steps import (
    CAPTURED,
    DECLINED,
    MISMATCHED,
    VOID,
    VOIDED,
    Fact,
    Step,
    TimerFired,
    identity,
)
from contexts.inventory.commands import ReserveStock
from contexts.inventory.events import (
    ReservationReleased,
    ReservationShipped,
    StockRefused,
    StockReserved,
    StockReturned,
)
from contexts.messages import OrderId, ReturnId, Units, wire_name
from contexts.ordering.events import (
    CancellationRequested,
    OrderAbandoned,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    OrderResumed,
    ReturnAccepted,
    ReturnReceived,
    ReturnRequested,
)
from contexts.ordering.order_lines import OrderLine
from contexts.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentMismatched,
    PaymentRefunded,
    PaymentVoided,
)
from contexts.shipping.commands import CreateShipment
from contexts.shipping.events import ReturnReceived as ParcelReturned
from contexts.shipping.events import ShipmentCancelled, ShipmentDelivered, ShipmentDispatched

REASON_LENGTH = 500
"""What a command may carry as a reason."""

NEED_LINES = frozenset({wire_name(ReserveStock), wire_name(CreateShipment)})


class Failure(msgspec.Struct, frozen=True):
    """Why the order is stuck: a command that failed, or a fact that does not fit.

    `failure_id` is the command's id, which an operator may have sent again if `retryable`.
    """

    failure_id: str
    command: str
    return_id: ReturnId | None = None
    retryable: bool = True


class Saga(msgspec.Struct, frozen=True):
    """What the saga knows of one order; `received` and `asked` hold identities of facts and steps.

    What follows from them does not depend on the order in which contexts were received. `stage` is None
    before the order was received; facts received until then are `early`. `undoing` says why the order is
    being undone, if it is, `cancelling` why somebody wants it cancelled. `returns` have arrived and are not
    yet accepted.
    `returned`: all of the order came back.
    `settling` are the steps of an operator's settlement, `decision` tells it from others. `operated`: it was
    abandoned here, so it need not learn that from ordering.
    """

    stage: Stage | None = None
    order_id: OrderId = ""
    lines: tuple[Units, ...] = ()
    total: int = 0
    currency: str = ""
    payment_method: str = ""
    received: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    early: tuple[Fact, ...] = ()
    undoing: str = ""
    cancelling: str = ""
    parcel: ShipmentDispatched | None = None
    returns: tuple[ReturnReceived, ...] = ()
    returned: bool = False
    timers: frozenset[str] = frozenset()
    failures: tuple[Failure, ...] = ()
    settling: frozenset[str] = frozenset()
    settlements: int = 0
    decision: str | None = None
    operated: bool = False

    def has_received(self, *kinds: type[Fact]) -> bool:
        """Whether any fact of these types was received; of types that are about no return."""
        return any(wire_name(kind) in self.received for kind in kinds)

    def has_asked(self, kind: type[Step]) -> bool:
        """Whether a step of this type was asked for; of types that are about no return."""
        return wire_name(kind) in self.asked


def learn(saga: Saga, fact: Fact) -> Saga:  # noqa: C901, PLR0911 - a table
    """What is known after receiving a fact; the very same saga if it is late, repeated or of no concern."""
    if saga.stage is None:
        return _begin(saga, fact)
    if not _news(saga, fact):
        return saga
    after = replace(saga, received=saga.received | {_key(saga, fact)})
    match fact:
        case ReturnReceived():
            return replace(after, returns=(*saga.returns, fact))
        case ReturnAccepted():
            left = tuple(back for back in saga.returns if back.return_id != fact.return_id)
            return replace(after, returns=left, returned=saga.returned or fact.whole)
        case ShipmentDispatched():
            # The goods are gone: whatever was to be undone, they have to be paid for.
            return replace(after, parcel=fact, undoing="")
        case OrderAbandoned():
            return replace(after, stage=Stage.ABANDONED)
        case OrderResumed():
            return replace(after, stage=Stage.RESERVING)
        case CancellationRequested():
            return replace(after, cancelling=fact.reason)
        case TimerFired():
            return replace(after, undoing=reason_of(saga, fact), timers=saga.timers - {fact.timer})
        case _ if saga.parcel is None and not saga.undoing:
            return replace(after, undoing=reason_of(saga, fact))
        case _:
            return after


def _begin(saga: Saga, fact: Fact) -> Saga:
    """The saga begins with the order; what was received before it counts from then on."""
    if not isinstance(fact, OrderPlaced):
        matters = not isinstance(fact, TimerFired) and fact not in saga.early
        return replace(saga, order_id=fact.order_id, early=(*saga.early, fact)) if matters else saga
    begun = replace(
        saga,
        stage=Stage.RESERVING,
        order_id=fact.order_id,
        lines=units_by_sku(fact.lines),
        total=fact.total,
        currency=fact.currency,
        payment_method=fact.payment_method,
        received=frozenset({identity(fact)}),
        early=(),
    )
    for early in saga.early:
        begun = learn(begun, early)
    return begun


def _key(saga: Saga, fact: Fact) -> str:
    """What a fact counts as: an authorisation of another amount is none."""
    if isinstance(fact, PaymentAuthorized) and (fact.amount, fact.currency) != (saga.total, saga.currency):
        return MISMATCHED
    return identity(fact)


def problem_of(saga: Saga, fact: Fact) -> str:
    """Why a fact does not fit the order; empty if it does."""
    wanted = f"{saga.total} {saga.currency}"
    match fact:
        case PaymentMismatched():
            return f"{fact.reason}: {fact.amount} {fact.currency} instead of {wanted}"
        case PaymentAuthorized() if _key(saga, fact) == MISMATCHED:
            return f"the payment was authorised for {fact.amount} {fact.currency} instead of {wanted}"
        case PaymentCaptured() if (fact.amount, fact.currency) != (saga.total, saga.currency):
            return f"the payment was captured for {fact.amount} {fact.currency} instead of {wanted}"
        case _:
            return ""


def _news(saga: Saga, fact: Fact) -> bool:  # noqa: C901, PLR0911, PLR0912 - a table
    """Whether a fact adds to what the saga must know."""
    key = _key(saga, fact)
    match fact:
        case TimerFired():
            return fact.timer in saga.timers
        case OrderPlaced() | ReturnRequested() | ParcelReturned():
            return False
        case _ if key in saga.received or saga.stage is Stage.SETTLED:
            return False
        case OrderAbandoned():
            # Only a saga that lost its store does not know it already.
            return saga.stage is not Stage.ABANDONED and not saga.operated
        case OrderResumed():
            return saga.stage is Stage.ABANDONED and not saga.operated
        case _ if saga.stage is Stage.ABANDONED:
            return True
        case PaymentMismatched():
            # At any time: somebody may have changed the provider's books by hand.
            return True
        case PaymentAuthorized() | PaymentVoided() if saga.stage is Stage.CANCELLED:
            return VOIDED not in saga.received
        case _ if saga.stage is Stage.CANCELLED:
            return False
        case ReturnReceived() | StockReturned() | PaymentRefunded() | ReturnAccepted():
            return True
        case ShipmentDispatched():
            return True
        case _ if saga.stage is Stage.COMPLETED:
            return False
        case CancellationRequested():
            return saga.parcel is None
        case PaymentDeclined() | PaymentVoided():
            return saga.received.isdisjoint({DECLINED, VOIDED, CAPTURED}) or VOID in saga.asked
        case StockReserved():
            return not saga.undoing
        case _:
            # Others only confirm what was asked for; they matter when that seemed to have failed.
            return isinstance(fact, DECISIVE)


DECISIVE = (
    StockRefused,
    ReservationReleased,
    ReservationShipped,
    PaymentAuthorized,
    PaymentCaptured,
    OrderConfirmed,
    OrderCancelled,
    OrderCompleted,
    ShipmentCancelled,
    ShipmentDelivered,
)
"""Facts that decide what is to be done next."""


def reason_of(saga: Saga, fact: Fact) -> str:
    """Why a fact makes the order be undone; empty if it does not."""
    match fact:
        case OrderCancelled():
            reason = fact.reason or "cancelled"
        case StockRefused():
            reason = "out of stock: " + ", ".join(
                f"{short.sku} ({short.available} of {short.wanted})" for short in fact.shortages
            )
        case PaymentDeclined():
            reason = f"payment declined: {fact.reason}"
        case TimerFired():
            reason = "payment timed out"
        case PaymentVoided() if MISMATCHED not in saga.received:
            reason = "payment voided"
        case ShipmentCancelled():
            reason = saga.cancelling or "shipment cancelled"
        case _:
            reason = ""
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"


def ask(saga: Saga, commands: tuple[Step, ...]) -> Saga:
    """What is known after asking for commands."""
    if not commands:
        return saga
    asked = saga.asked.union(map(identity, commands))
    # The lines are not needed again, and many orders are kept in memory.
    packed = saga.parcel is not None and asked >= NEED_LINES
    return replace(saga, asked=asked, lines=() if packed else saga.lines)


def units_by_sku(lines: tuple[OrderLine, ...]) -> tuple[Units, ...]:
    """Units per SKU: an order may have a SKU on several lines, at different prices."""
    units: dict[str, int] = {}
    for line in lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    return tuple(Units(sku=sku, quantity=quantity) for sku, quantity in units.items())
