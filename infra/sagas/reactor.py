"""Receives events and timers, and records the steps they call for with the commands and timers of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from infra.event_store.store import StoreUnavailable
from infra.messages.events import Metadata
from infra.observability import tracing
from infra.observability.logging.setup import trace_of
from infra.runtime.context import EventSession, ReceivedEvent, Session
from infra.runtime.dead_letters.store import DeadLetter, Fate
from infra.sagas.outbox import FAILED, OUTBOX, Cause, OutboxMessage, encode
from infra.sagas.process_manager import ProcessManager, Step, Timer, wire_name
from infra.sagas.timers import TIMER, due_note, is_due, timer_key

log = structlog.get_logger(__name__)

Begin = Callable[[str, Step, Sequence[OutboxMessage]], None]
"""Called with the key when a step is committed, to do what it asks for."""


class Reactor:
    """Decides on events one by one; all of a batch is one transaction."""

    def __init__(self, manager: ProcessManager, begin: Begin) -> None:
        self._manager = manager
        self._begin = begin

    async def received(self, session: EventSession, events: Sequence[ReceivedEvent]) -> None:
        """Take the steps that a batch of events calls for."""
        keys = {self._manager.key_of(it.event) for it in events}
        await _load(session, map(self._manager.stream, keys))
        for event in events:
            await self._receive(session, event)

    async def timer(self, session: EventSession, key: str, timer: str) -> None:
        """Take the step that a timer calls for; none if it was cancelled, has fired or is not due."""
        stream, timer_id = self._manager.stream(key), timer_key(key, timer)
        await session.load(stream)
        note = (await session.notes(TIMER, {timer_id})).get(timer_id)
        now = datetime.now(UTC)
        if not is_due(note, now):
            return
        metadata = Metadata(
            time=now,
            causation_id=timer_id,
            correlation_id=key,
            actor=self._manager.name,
            traceparent=tracing.current_span().traceparent,
        )
        fired = self._manager.timer_fired(key, timer)
        event = ReceivedEvent(self._manager.name, fired, stream, session.version(stream), 0, 0, metadata)
        await self._receive(session, event, (timer,))

    async def dead_letter(self, session: EventSession, letter: DeadLetter, fate: Fate) -> None:
        """Record what became of an event that could not be handled."""
        if self._manager.dead_letter is None:
            return
        stream = self._manager.stream(letter.key)
        await session.load(stream)
        metadata = Metadata(
            time=datetime.now(UTC),
            causation_id=letter.event_id,
            correlation_id=letter.key,
            actor=self._manager.name,
        )
        session.record(stream, [self._manager.dead_letter(letter, fate)], metadata)

    async def _receive(
        self, session: EventSession, event: ReceivedEvent, fired: tuple[str, ...] = ()
    ) -> None:
        """Take the step an event calls for; the timers that have fired fire no more."""
        key = self._manager.key_of(event.event)
        stream = self._manager.stream(key)
        (state,) = await session.load(stream)
        now = datetime.now(UTC)
        step = self._manager.decide(state, event.event, now)
        if step is None:
            return
        if fired:
            step = replace(step, timers_cancelled=(*step.timers_cancelled, *fired))
        metadata = Metadata(
            time=now,
            causation_id=event.event_id,
            correlation_id=event.metadata.correlation_id,
            actor=self._manager.name,
            traceparent=event.metadata.traceparent,
        )
        session.record(stream, [step.event], metadata)
        cause = Cause(event.event_id, event.metadata.correlation_id, event.metadata.traceparent)
        commands = self._manager.messages(step.commands, key, session.version(stream), cause)
        _note(session, key, step, commands)
        session.after_commit(lambda: self._taken(key, event, step, commands))

    def _taken(self, key: str, event: ReceivedEvent, step: Step, commands: Sequence[OutboxMessage]) -> None:
        belongs = {
            self._manager.key_field: key,
            "correlation_id": event.metadata.correlation_id,
            "trace_id": trace_of(event.metadata.traceparent),
        }
        log.info(
            "step taken",
            **belongs,
            **step.details,
            received=wire_name(event.event),
            commands=[command.name for command in commands],
        )
        if step.problem:
            log.error("operator needed", **belongs, reason=step.problem)
        self._begin(key, step, commands)


async def _load(session: EventSession, streams: Iterable[str]) -> None:
    """Load all at once: everybody else holds a single instance, so nobody waits in a circle."""
    try:
        async with asyncio.TaskGroup() as group:
            for stream in streams:
                group.create_task(session.load(stream))
    except* StoreUnavailable as unavailable:
        raise StoreUnavailable(str(unavailable.exceptions[0])) from unavailable


def _note(session: EventSession, key: str, step: Step, commands: Iterable[OutboxMessage]) -> None:
    """Keep what is to be sent and which timers are to fire; both survive this process."""
    keep_commands(session, commands)
    for command_id in step.recovered:
        session.note(FAILED, command_id, None)
    for name in step.timers_cancelled:
        session.note(TIMER, timer_key(key, name), None)
    keep_timers(session, key, step.timers_set)


def keep_commands(session: EventSession | Session, commands: Iterable[OutboxMessage]) -> None:
    """Put commands into the outbox."""
    for command in commands:
        session.note(OUTBOX, command.command_id, encode(command))


def keep_timers(session: EventSession | Session, key: str, timers: Iterable[Timer]) -> None:
    """Keep timers."""
    for timer in timers:
        session.note(TIMER, timer_key(key, timer.name), due_note(timer))
