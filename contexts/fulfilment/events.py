"""What the fulfilment saga has received, decided and run into."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from contexts.fulfilment.steps import REPEATABLE, Fact, Step
from contexts.messages import Amount, Event, OrderId, ReturnId, Time


class Stage(StrEnum):
    """Where an order's fulfilment is. An abandoned one waits for an operator; the last three are terminal."""

    RESERVING = "reserving"
    AUTHORIZING = "authorizing"
    CONFIRMING = "confirming"
    AWAITING_DISPATCH = "awaiting-dispatch"
    DISPATCHED = "dispatched"
    COMPENSATING = "compensating"
    ABANDONED = "abandoned"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    SETTLED = "settled"


TERMINAL = frozenset({Stage.COMPLETED, Stage.CANCELLED, Stage.SETTLED})


class FulfilmentEventMessage(Event, tag=lambda name: f"fulfilment.{name}"):
    """An event of fulfilment."""


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A wake-up call the saga asks for; setting the same name again replaces it."""

    name: str
    due: Time


def command_id(stream: str, step: str, version: int) -> str:
    """The id a step is sent under: the same when a saga that lost its store asks for it again.

    `step` is its identity. `version` is the saga's when it asks; it tells apart steps that are asked for
    several times.
    """
    name = step.partition(":")[0]
    return f"{stream}:{step}:{version}" if name in REPEATABLE else f"{stream}:{step}"


class StepTaken(FulfilmentEventMessage):
    """A fact was received and answered with commands; all that follows from it, in one event.

    `command_id` names the commands; steps of earlier versions had ids `<stream>:<version>:<n>`. `recovered`
    names failures that no longer matter: the effect came after all, or nothing needs it now. `problem`
    says why what was received makes the order stuck, if it does. `outstanding` lists what an abandoned order
    still holds.
    """

    order_id: OrderId
    heard: Fact
    stage: Stage
    commands: tuple[Step, ...] = ()
    timers_set: tuple[Timer, ...] = ()
    timers_cancelled: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    problem: str = ""
    outstanding: tuple[str, ...] = ()


class FactRemembered(FulfilmentEventMessage):
    """A fact was received before its order: it counts once the order is received."""

    order_id: OrderId
    heard: Fact


class CommandFailed(FulfilmentEventMessage):
    """A command was refused, or not done within all its tries: the order is stuck until an operator acts.

    `command` is its wire name; `return_id` the return it belongs to, if it belongs to one.
    """

    order_id: OrderId
    command_id: str
    command: str
    reason: str
    return_id: ReturnId | None = None


class FactParked(FulfilmentEventMessage):
    """A fact of the order is a dead letter: the order is stuck until that is retried or skipped.

    `fact` is its wire name, `place` its context and position: `shipping:17`.
    """

    order_id: OrderId
    fact: str
    place: str
    reason: str


class FactReleased(FulfilmentEventMessage):
    """A dead letter of the order was retried, or skipped by an operator."""

    order_id: OrderId
    place: str


class FulfilmentRetried(FulfilmentEventMessage):
    """An operator had the failed commands sent again, under their first ids."""

    order_id: OrderId
    command_ids: tuple[str, ...]


class FulfilmentAbandoned(FulfilmentEventMessage):
    """An operator stopped a stuck order. `outstanding` lists what it holds.

    Earlier versions kept the `stage` of a completed order of which only a return was given up.
    """

    order_id: OrderId
    reason: str
    stage: Stage = Stage.ABANDONED
    commands: tuple[Step, ...] = ()
    outstanding: tuple[str, ...] = ()


def decision(payment: str, amount: int, stock: str) -> str:
    """What tells two settlements of an order apart."""
    return f"{payment} {amount} {stock}"


class FulfilmentSettled(FulfilmentEventMessage):
    """An operator decided what becomes of an abandoned order's money and stock.

    `stage` is `settled` at once if nothing has to be done for it.
    """

    order_id: OrderId
    reason: str
    stage: Stage
    payment: str = ""
    amount: Amount = 0
    stock: str = ""
    commands: tuple[Step, ...] = ()

    @property
    def decision(self) -> str:
        """What was decided, to know it again."""
        return decision(self.payment, self.amount, self.stock)


class FulfilmentResumed(FulfilmentEventMessage):
    """An operator took an abandoned order up again; all that is not done yet is asked for again."""

    order_id: OrderId
    reason: str
    stage: Stage
    commands: tuple[Step, ...] = ()
    timers_set: tuple[Timer, ...] = ()


FulfilmentEvent = (
    StepTaken
    | FactRemembered
    | CommandFailed
    | FactParked
    | FactReleased
    | FulfilmentRetried
    | FulfilmentAbandoned
    | FulfilmentSettled
    | FulfilmentResumed
)
"""Every event of fulfilment that is stored."""
