"""Runs the saga: what it says of itself as a process manager, and what it does for operators."""

from __future__ import annotations

import functools
import typing
from datetime import UTC, datetime, timedelta
from operator import or_
from typing import Any, assert_never

from contexts.fulfilment import operator
from contexts.fulfilment.commands import FulfilmentCommand
from contexts.fulfilment.earlier_notes import read_earlier
from contexts.fulfilment.events import (
    CommandFailed,
    FactParked,
    FactReleased,
    FactRemembered,
    FulfilmentAbandoned,
    FulfilmentEvent,
    FulfilmentResumed,
    FulfilmentRetried,
    FulfilmentSettled,
    StepTaken,
    command_id,
)
from contexts.fulfilment.process import obsolete
from contexts.fulfilment.saga import decide, evolve
from contexts.fulfilment.state import REASON_LENGTH, Saga
from contexts.fulfilment.steps import RULES, Fact, TimerFired, awaited, needs
from contexts.messages import wire_name
from contexts.wire_names import EVENTS
from infra.runtime.context import Context, Session
from infra.runtime.dead_letters.store import DeadLetter, Fate
from infra.sagas.outbox import OutboxMessage
from infra.sagas.process_manager import ProcessManager, Step
from infra.sagas.retry_policy import RetryPolicy
from infra.sagas.runner import SagaRunner
from infra.settings import Settings

NAME = "fulfilment"


def facts_by_context() -> dict[str, Any]:
    """The facts the saga listens to, as one union per context they come from."""
    kinds: dict[str, list[Any]] = {}
    for kind in typing.get_args(Fact):
        kinds.setdefault(wire_name(kind).partition(".")[0], []).append(kind)
    del kinds[NAME]
    return {context: functools.reduce(or_, union) for context, union in kinds.items()}


def stream_of(command: FulfilmentCommand) -> str:
    """The stream a command is about."""
    return f"{NAME}-{command.order_id}"


def process_manager(payment_timeout: timedelta) -> ProcessManager:
    """The saga as `infra.sagas` runs it; an instance is an order's fulfilment."""
    return ProcessManager(
        name=NAME,
        key_of=lambda fact: str(fact.order_id),
        decide=lambda saga, fact, now: step_of(decide(saga, fact, now, payment_timeout)),
        settled=settled,
        failed=command_failed,
        timer_fired=lambda order_id, timer: TimerFired(order_id=order_id, timer=timer),
        blocked=blocked,
        awaits=lambda message: awaited(message.step),
        about=lambda command: getattr(command, "return_id", None),
        command_id=command_id,
        dead_letter=dead_letter,
        earlier_note=read_earlier,
        key_field="order_id",
    )


def step_of(event: StepTaken | FactRemembered | None) -> Step | None:
    """What follows from an event of the saga's own."""
    match event:
        case None:
            return None
        case FactRemembered():
            return Step(event)
        case StepTaken():
            return Step(
                event,
                commands=event.commands,
                timers_set=event.timers_set,
                timers_cancelled=event.timers_cancelled,
                recovered=event.recovered,
                problem=event.problem,
                details={"stage": event.stage},
            )


def settled(saga: Saga, message: OutboxMessage) -> bool:
    """Whether a command need not be sent: known as failed, done, or no longer wanted."""
    known_as_failed = any(it.failure_id == message.command_id for it in saga.failures)
    return known_as_failed or obsolete(saga, message.step)


def blocked(saga: Saga, message: OutboxMessage) -> str:
    """Why a command must not be sent: another one, which it needs, has failed."""
    needed = needs(message.step)
    for failure in saga.failures:
        if failure.command in needed and failure.return_id in {None, message.about}:
            return f"{failure.command} has failed before it"
    return ""


def command_failed(message: OutboxMessage, reason: str) -> CommandFailed:
    """The order is stuck until an operator acts, or an event shows that the command was carried out."""
    return CommandFailed(
        order_id=message.key,
        command_id=message.command_id,
        command=message.name,
        reason=reason,
        return_id=message.about,
    )


def dead_letter(letter: DeadLetter, fate: Fate) -> FactParked | FactReleased:
    """An order is stuck as long as a fact of it is a dead letter."""
    if fate != "parked":
        return FactReleased(order_id=letter.key, place=letter.note_key)
    reason = letter.error[:REASON_LENGTH]
    return FactParked(order_id=letter.key, fact=letter.name, place=letter.note_key, reason=reason)


class Operators:
    """Does what operators ask of the saga."""

    def __init__(self, runner: SagaRunner, payment_timeout: timedelta) -> None:
        self._runner = runner
        self._payment_timeout = payment_timeout

    async def handle(self, session: Session, command: FulfilmentCommand) -> None:
        """Decide, record, and have the consequences carried out."""
        stream, order_id, runner = stream_of(command), command.order_id, self._runner
        saga: Saga
        (saga,) = await session.load(stream)
        events = operator.decide(saga, command, datetime.now(UTC), self._payment_timeout)
        session.record(stream, events)
        for event in events:
            match event:
                case FulfilmentRetried():
                    await runner.retry(session, event.command_ids)
                case FulfilmentAbandoned() | FulfilmentSettled():
                    failed = [failure.failure_id for failure in saga.failures]
                    runner.forget(session, order_id, failed, saga.timers)
                    runner.send(session, order_id, event.commands)
                case FulfilmentResumed():
                    runner.send(session, order_id, event.commands)
                    runner.set_timers(session, order_id, event.timers_set)
                case _:
                    assert_never(event)


def fulfilment(settings: Settings, policy: RetryPolicy) -> Context:
    """The context, trying as long as the policy says."""
    payment_timeout = timedelta(seconds=settings.payment_timeout)
    runner = SagaRunner(process_manager(payment_timeout), policy)
    return Context(
        name=NAME,
        commands=FulfilmentCommand,
        events=FulfilmentEvent,
        initial=lambda _: Saga(),
        evolve=evolve,
        primary=stream_of,
        handle=Operators(runner, payment_timeout).handle,
        receives=facts_by_context(),
        react=runner.react,
        known_events=EVENTS,
        on_dead_letter=runner.on_dead_letter,
        background_workers=runner.background_workers,
        rebuilt=True,
        sends=tuple(RULES),
        sets_timers=True,
    )


def context(settings: Settings) -> Context:
    """The context as the settings have it."""
    return fulfilment(settings, RetryPolicy())
