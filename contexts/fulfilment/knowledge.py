"""What the saga knows of an order: the facts it has heard and the commands it has asked for."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from contexts.fulfilment.events import Fact, Stage, Step, TimerFired
from contexts.inventory.commands import ReturnStock
from contexts.inventory.events import ReservationReleased, ReservationShipped, StockRefused, StockReserved
from contexts.inventory.stock_line import StockLine
from contexts.messages import OrderId, ReturnId
from contexts.ordering.events import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    ReturnAccepted,
    ReturnRequested,
)
from contexts.ordering.order_lines import OrderLine, ReturnLine
from contexts.payments.events import PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentVoided
from contexts.shipping.commands import CreateShipment
from contexts.shipping.events import (
    ReturnReceived,
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentDispatched,
)

REASON_LENGTH = 500
"""What a command may carry as a reason."""


class Failure(msgspec.Struct, frozen=True):
    """A command that failed and that an operator may have sent again."""

    command_id: str
    command: str
    return_id: ReturnId | None


class Saga(msgspec.Struct, frozen=True):
    """What the saga knows of one order: the facts it heard and the commands it asked for.

    Both are sets: what follows from them does not depend on the order in which contexts were heard.
    `stage` is None before the order was placed. `undoing` says why the order is being undone, if it is.
    `returns` wait for their parcels, `parcels_waiting` counts parcels that wait for their return requests.
    """

    stage: Stage | None = None
    order_id: OrderId = ""
    lines: tuple[StockLine, ...] = ()
    total: int = 0
    currency: str = ""
    payment_method: str = ""
    heard: frozenset[type[Fact]] = frozenset()
    asked: frozenset[type[Step]] = frozenset()
    undoing: str = ""
    parcel: ShipmentDispatched | None = None
    returns: tuple[ReturnRequested, ...] = ()
    returns_heard: frozenset[ReturnId] = frozenset()
    parcels_heard: int = 0
    parcels_waiting: int = 0
    timers: frozenset[str] = frozenset()
    failures: tuple[Failure, ...] = ()


def learn(saga: Saga, fact: Fact) -> Saga:  # noqa: PLR0911 - a table
    """What is known after hearing a fact; the very same saga if it is late, repeated or of no concern."""
    if isinstance(fact, OrderPlaced):
        return _begin(fact) if saga.stage is None else saga
    if not _news(saga, fact):
        return saga
    after = replace(saga, heard=saga.heard | {type(fact)})
    match fact:
        case ReturnRequested():
            return replace(
                after,
                returns=(*saga.returns, fact),
                returns_heard=saga.returns_heard | {fact.return_id},
            )
        case ReturnReceived():
            return replace(
                after,
                parcels_heard=fact.number,
                parcels_waiting=saga.parcels_waiting + fact.number - saga.parcels_heard,
            )
        case ShipmentDispatched():
            return replace(after, parcel=fact)
        case TimerFired():
            return replace(after, undoing=_reason(fact), timers=saga.timers - {fact.timer})
        case _ if saga.parcel is None and not saga.undoing:
            return replace(after, undoing=_reason(fact))
        case _:
            return after


def _begin(placed: OrderPlaced) -> Saga:
    return Saga(
        stage=Stage.RESERVING,
        order_id=placed.order_id,
        lines=units_by_sku(placed.lines),
        total=placed.total,
        currency=placed.currency,
        payment_method=placed.payment_method,
        heard=frozenset({OrderPlaced}),
    )


def _news(saga: Saga, fact: Fact) -> bool:  # noqa: C901, PLR0911 - a table
    """Whether a fact adds to what the saga must know."""
    match fact:
        case _ if saga.stage in {None, Stage.CANCELLED, Stage.ABANDONED}:
            return False
        case ReturnRequested():
            return fact.return_id not in saga.returns_heard
        case ReturnReceived():
            return fact.number > saga.parcels_heard
        case TimerFired():
            return fact.timer in saga.timers
        case _ if saga.stage is Stage.COMPLETED or type(fact) in saga.heard:
            return False
        case PaymentDeclined() | PaymentVoided():
            return saga.heard.isdisjoint({PaymentDeclined, PaymentVoided, PaymentCaptured})
        case StockReserved() | PaymentAuthorized() | ShipmentDispatched() | ShipmentDelivered():
            return not saga.undoing
        case OrderConfirmed():
            return not saga.undoing and saga.parcel is None
        case (
            StockRefused()
            | ReservationReleased()
            | ReservationShipped()
            | PaymentCaptured()
            | ShipmentCancelled()
            | OrderCancelled()
            | OrderCompleted()
        ):
            return True
        case ReturnAccepted():
            # An order that came back as a whole is not completed any more.
            return fact.whole
        case _:
            # Others only confirm what was asked for; they matter when that seemed to have failed.
            return False


def _reason(fact: Fact) -> str:
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
        case PaymentVoided():
            reason = "payment voided"
        case ShipmentCancelled():
            reason = "shipment cancelled"
        case _:
            reason = ""
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"


def ask(saga: Saga, commands: tuple[Step, ...]) -> Saga:
    """What is known after asking for commands."""
    taken_back = sum(isinstance(command, ReturnStock) for command in commands)
    asked = saga.asked.union(type(command) for command in commands)
    return replace(
        saga,
        asked=asked,
        # The lines are not needed again, and many orders are kept in memory.
        lines=() if CreateShipment in asked else saga.lines,
        returns=saga.returns[taken_back:],
        parcels_waiting=saga.parcels_waiting - taken_back,
    )


def units_by_sku(lines: tuple[OrderLine, ...] | tuple[ReturnLine, ...]) -> tuple[StockLine, ...]:
    """Units per SKU: an order may have a SKU on several lines, at different prices."""
    units: dict[str, int] = {}
    for line in lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    return tuple(StockLine(sku=sku, quantity=quantity) for sku, quantity in units.items())
