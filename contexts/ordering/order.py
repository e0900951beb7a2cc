"""An order as its rules see it: what was placed, where it is, and what came back or is to come back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

import msgspec
from msgspec.structs import replace

from contexts.messages import ReturnId, Units
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
    ReturnAccepted,
    ReturnReceived,
    ReturnRefused,
    ReturnRequested,
    ReturnWithdrawn,
)
from contexts.ordering.order_lines import ReceivedLine


class Status(StrEnum):
    """Where an order is."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    DISPATCHED = "dispatched"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class ReturnStatus(StrEnum):
    """Where a return is; it is open while it is requested."""

    REQUESTED = "requested"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Return(msgspec.Struct, frozen=True):
    """A return as it was requested, where it is, what came and what is refunded for it (minor units)."""

    requested: ReturnRequested
    status: ReturnStatus = ReturnStatus.REQUESTED
    received: tuple[ReceivedLine, ...] = ()
    refund: int = 0

    @property
    def came(self) -> tuple[Units, ...]:
        """Units that came, restocked or written off."""
        return tuple(
            Units(sku=line.sku, quantity=line.restocked + line.written_off) for line in self.received
        )

    @property
    def taken(self) -> tuple[Units, ...]:
        """Units that came or are awaited: they cannot be returned again."""
        return self.requested.lines if self.status is ReturnStatus.REQUESTED else self.came


class Order(msgspec.Struct, frozen=True):
    """An order as it was placed, where it is, and its returns.

    `cancelling` while a requested cancellation is undecided, `abandoned` while its fulfilment is given up.
    """

    placed: OrderPlaced
    status: Status = Status.PLACED
    cancelling: bool = False
    abandoned: bool = False
    returns: Mapping[ReturnId, Return] = {}


def evolve(  # noqa: C901, PLR0911, PLR0912 - a table, a row for each fact
    order: Order | None, event: OrderingEvent
) -> Order:
    """The order after one more fact."""
    match event:
        case OrderPlaced():
            return Order(event)
        case _ if order is None:
            raise ValueError(f"{event!r} without an OrderPlaced before it")
        case OrderConfirmed():
            return replace(order, status=Status.CONFIRMED)
        case OrderCancelled():
            return replace(order, status=Status.CANCELLED, cancelling=False)
        case CancellationRequested():
            return replace(order, cancelling=True)
        case CancellationRefused():
            return replace(order, cancelling=False)
        case OrderDispatched():
            return replace(order, status=Status.DISPATCHED)
        case OrderCompleted():
            return replace(order, status=Status.COMPLETED)
        case ReturnRequested():
            return replace(order, returns={**order.returns, event.return_id: Return(event)})
        case ReturnWithdrawn() | ReturnRefused() | ReturnReceived() | ReturnAccepted():
            changed = _returned(order.returns[event.return_id], event)
            status = Status.RETURNED if isinstance(event, ReturnAccepted) and event.whole else order.status
            return replace(order, status=status, returns={**order.returns, event.return_id: changed})
        case OrderAbandoned():
            return replace(order, abandoned=True)
        case OrderResumed():
            return replace(order, abandoned=False)
        case _:
            assert_never(event)


def _returned(
    before: Return, event: ReturnWithdrawn | ReturnRefused | ReturnReceived | ReturnAccepted
) -> Return:
    match event:
        case ReturnWithdrawn():
            return replace(before, status=ReturnStatus.WITHDRAWN)
        case ReturnRefused():
            return replace(before, status=ReturnStatus.REFUSED)
        case ReturnReceived():
            return replace(before, status=ReturnStatus.RECEIVED, received=event.lines, refund=event.refund)
        case ReturnAccepted():
            # In old logs nothing says what came before a return was accepted: it was everything, restocked.
            received = before.received or restocked(event.lines)
            return replace(before, status=ReturnStatus.ACCEPTED, received=received, refund=event.refund)
        case _:
            assert_never(event)


def restocked(lines: tuple[Units, ...]) -> tuple[ReceivedLine, ...]:
    """All of these units came, and all of them can be sold again."""
    return tuple(ReceivedLine(sku=line.sku, restocked=line.quantity) for line in lines)
