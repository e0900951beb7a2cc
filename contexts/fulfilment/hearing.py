"""Hears facts and timers, and records the saga's steps with the commands and timers they ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from contexts.fulfilment.alarms import TIMER, due_note, is_due, timer_key
from contexts.fulfilment.dispatcher import ACTOR
from contexts.fulfilment.events import (
    FactParked,
    FactReleased,
    FactRemembered,
    FulfilmentResumed,
    StepTaken,
    TimerFired,
)
from contexts.fulfilment.issued import FAILED, OUTBOX, Cause, IssuedCommand, encode, issue, saga_stream
from contexts.fulfilment.saga import decide
from contexts.fulfilment.state import REASON_LENGTH, Saga
from contexts.messages import OrderId, wire_name
from infra.event_store.store import StoreUnavailable
from infra.messages.events import Metadata
from infra.observability import tracing
from infra.observability.logging.setup import trace_of
from infra.runtime.context import Heard, Reaction, Session
from infra.runtime.dead_letters.store import DeadLetter, Fate

log = structlog.get_logger(__name__)

Begin = Callable[[StepTaken, Sequence[IssuedCommand]], None]
"""Called when a step is committed, to do what it asks for."""


class Hearing:
    """Decides on facts one by one; all of a batch is one transaction."""

    def __init__(self, payment_timeout: timedelta, begin: Begin) -> None:
        self._payment_timeout = payment_timeout
        self._begin = begin

    async def facts(self, reaction: Reaction, heard: Sequence[Heard]) -> None:
        """Take the steps a batch of facts calls for."""
        await _load(reaction, {saga_stream(fact.event.order_id) for fact in heard})
        for fact in heard:
            await self._hear(reaction, fact)

    async def timer(self, reaction: Reaction, order_id: OrderId, timer: str) -> None:
        """Take the step that a timer calls for; none if it was cancelled, has fired or is not due."""
        stream, key = saga_stream(order_id), timer_key(order_id, timer)
        await reaction.load(stream)
        note = (await reaction.notes(TIMER, {key})).get(key)
        now = datetime.now(UTC)
        if not is_due(note, now):
            return
        fact = TimerFired(order_id=order_id, timer=timer)
        metadata = Metadata(
            time=now,
            causation_id=key,
            correlation_id=order_id,
            actor=ACTOR,
            traceparent=tracing.current_span().traceparent,
        )
        version = reaction.version(stream)
        await self._hear(reaction, Heard("fulfilment", fact, stream, version, 0, 0, metadata))

    async def _hear(self, reaction: Reaction, fact: Heard) -> None:
        stream = saga_stream(fact.event.order_id)
        saga: Saga
        (saga,) = await reaction.load(stream)
        now = datetime.now(UTC)
        event = decide(saga, fact.event, now, self._payment_timeout)
        if event is None:
            return
        metadata = Metadata(
            time=now,
            causation_id=fact.event_id,
            correlation_id=fact.metadata.correlation_id,
            actor=ACTOR,
            traceparent=fact.metadata.traceparent,
        )
        reaction.record(stream, [event], metadata)
        if isinstance(event, FactRemembered):
            return
        cause = Cause(fact.event_id, fact.metadata.correlation_id, fact.metadata.traceparent)
        commands = issue(event.commands, event.order_id, reaction.version(stream), cause)
        _note(reaction, event, commands)
        reaction.after_commit(lambda: self._taken(event, commands, metadata))

    def _taken(self, step: StepTaken, commands: Sequence[IssuedCommand], metadata: Metadata) -> None:
        belongs = {
            "order_id": step.order_id,
            "correlation_id": metadata.correlation_id,
            "trace_id": trace_of(metadata.traceparent),
        }
        log.info(
            "step taken",
            **belongs,
            heard=wire_name(type(step.heard)),
            stage=step.stage,
            commands=[command.name for command in commands],
        )
        if step.problem:
            log.error("order is stuck", **belongs, reason=step.problem)
        self._begin(step, commands)


async def dead_letter(reaction: Reaction, letter: DeadLetter, fate: Fate) -> None:
    """An order is stuck as long as a fact of it is a dead letter."""
    order_id, place = letter.key, letter.note_key
    stream = saga_stream(order_id)
    await reaction.load(stream)
    event: FactParked | FactReleased
    if fate == "parked":
        reason = letter.error[:REASON_LENGTH]
        event = FactParked(order_id=order_id, fact=letter.name, place=place, reason=reason)
    else:
        event = FactReleased(order_id=order_id, place=place)
    metadata = Metadata(
        time=datetime.now(UTC), causation_id=letter.event_id, correlation_id=order_id, actor=ACTOR
    )
    reaction.record(stream, [event], metadata)


async def _load(reaction: Reaction, streams: Iterable[str]) -> None:
    """Load all at once: everybody else holds a single saga, so nobody waits in a circle."""
    try:
        async with asyncio.TaskGroup() as group:
            for stream in streams:
                group.create_task(reaction.load(stream))
    except* StoreUnavailable as unavailable:
        raise StoreUnavailable(str(unavailable.exceptions[0])) from unavailable


def _note(reaction: Reaction, step: StepTaken, commands: Iterable[IssuedCommand]) -> None:
    """Keep what is to be sent and what is to ring; both survive this process."""
    keep_commands(reaction, commands)
    for failure_id in step.recovered:
        reaction.note(FAILED, failure_id, None)
    for name in timers_ended(step):
        reaction.note(TIMER, timer_key(step.order_id, name), None)
    keep_timers(reaction, step)


def keep_commands(session: Reaction | Session, commands: Iterable[IssuedCommand]) -> None:
    """Put commands into the outbox."""
    for command in commands:
        session.note(OUTBOX, command.command_id, encode(command))


def keep_timers(session: Reaction | Session, event: StepTaken | FulfilmentResumed) -> None:
    """Keep the timers an event sets."""
    for timer in event.timers_set:
        session.note(TIMER, timer_key(event.order_id, timer.name), due_note(timer))


def timers_ended(step: StepTaken) -> tuple[str, ...]:
    """The timers that are not to ring after a step: cancelled, or heard just now."""
    fired = (step.heard.timer,) if isinstance(step.heard, TimerFired) else ()
    return (*step.timers_cancelled, *fired)
