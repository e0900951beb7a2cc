"""Hears facts and timers, and records the saga's steps with the commands and timers they ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from contexts.fulfilment.alarms import TIMER, due_note, is_due, timer_key
from contexts.fulfilment.dispatcher import ACTOR
from contexts.fulfilment.events import StepTaken, TimerFired
from contexts.fulfilment.issued import FAILED, OUTBOX, IssuedCommand, encode, issued, saga_stream
from contexts.fulfilment.knowledge import Saga
from contexts.fulfilment.saga import decide
from contexts.messages import OrderId, wire_name
from infra import tracing
from infra.event_store import StoreUnavailable
from infra.log import trace_of
from infra.records import Metadata
from infra.runtime import Heard, Reaction

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
        step = decide(saga, fact.event, now, self._payment_timeout)
        if step is None:
            return
        metadata = Metadata(
            time=now,
            causation_id=fact.event_id,
            correlation_id=fact.metadata.correlation_id,
            actor=ACTOR,
            traceparent=fact.metadata.traceparent,
        )
        reaction.record(stream, [step], metadata)
        commands = issued(step, reaction.version(stream), fact)
        _note(reaction, step, commands)
        reaction.after_commit(lambda: self._taken(step, commands, metadata))

    def _taken(self, step: StepTaken, commands: Sequence[IssuedCommand], metadata: Metadata) -> None:
        log.info(
            "step taken",
            order_id=step.order_id,
            correlation_id=metadata.correlation_id,
            trace_id=trace_of(metadata.traceparent),
            heard=wire_name(type(step.heard)),
            stage=step.stage,
            commands=[command.name for command in commands],
        )
        self._begin(step, commands)


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
    for command in commands:
        reaction.note(OUTBOX, command.command_id, encode(command))
    for command_id in step.recovered:
        reaction.note(FAILED, command_id, None)
    for name in timers_ended(step):
        reaction.note(TIMER, timer_key(step.order_id, name), None)
    for timer in step.timers_set:
        reaction.note(TIMER, timer_key(step.order_id, timer.name), due_note(timer))


def timers_ended(step: StepTaken) -> tuple[str, ...]:
    """The timers that are not to ring after a step: cancelled, or heard just now."""
    fired = (step.heard.timer,) if isinstance(step.heard, TimerFired) else ()
    return (*step.timers_cancelled, *fired)
