"""Runs a process manager within its context: receives for it, sends for it, and keeps its timers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from infra.observability import tracing
from infra.runtime.context import BackgroundWorker, EventSession, ReceivedEvent, RunningContext, Session
from infra.runtime.dead_letters.store import DeadLetter, Fate
from infra.runtime.timers import Timers
from infra.sagas.dispatcher import Dispatcher
from infra.sagas.outbox import FAILED, OUTBOX, Cause, OutboxMessage
from infra.sagas.outbox_sweeper import OutboxSweeper
from infra.sagas.process_manager import ProcessManager, Step, Timer
from infra.sagas.reactor import Reactor, keep_commands, keep_timers
from infra.sagas.retry_policy import RetryPolicy
from infra.sagas.timers import TIMER, SagaTimers, timer_key


class SagaRunner:
    """The instances of this process; where it leads, commands are sent and timers fire.

    Its context has `react`, `on_dead_letter` and `background_workers` from here. The others are for handlers
    of commands to the process manager: what they do is part of the session's transaction.
    """

    def __init__(self, manager: ProcessManager, policy: RetryPolicy | None = None) -> None:
        self._manager = manager
        self._policy = policy or RetryPolicy()
        self._reactor = Reactor(manager, self._begin)
        self._running: RunningContext | None = None
        self._dispatcher: Dispatcher | None = None
        self._timers: SagaTimers | None = None

    def background_workers(self, running: RunningContext) -> Sequence[BackgroundWorker]:
        """What works beside the process manager while this process leads."""
        dispatcher = Dispatcher(self._manager, running, self._policy)
        clock = Timers(running.nats, self._manager.name, stream_replicas=running.settings.stream_replicas)
        timers = SagaTimers(running.store, clock, self._fire)
        self._running, self._dispatcher, self._timers = running, dispatcher, timers
        return (dispatcher, OutboxSweeper(running.store, dispatcher), timers)

    async def react(self, session: EventSession, events: Sequence[ReceivedEvent]) -> None:
        """Take the steps that a batch of events calls for."""
        assert self._dispatcher is not None
        await self._dispatcher.room()
        await self._reactor.received(session, events)

    async def on_dead_letter(self, session: EventSession, letter: DeadLetter, fate: Fate) -> None:
        """Record what became of an event that could not be handled."""
        await self._reactor.dead_letter(session, letter, fate)

    async def _fire(self, key: str, timer: str) -> None:
        assert self._running is not None
        assert self._dispatcher is not None
        # The answer that cancels it may be among what was not received yet.
        await self._dispatcher.caught_up()
        with tracing.ringing(self._manager.name, timer):
            await self._running.react(lambda session: self._reactor.timer(session, key, timer))

    def _begin(self, key: str, step: Step, commands: Sequence[OutboxMessage]) -> None:
        """Do what a committed step asks for."""
        assert self._dispatcher is not None
        assert self._timers is not None
        self._dispatcher.send(commands)
        if step.timers_cancelled or step.timers_set:
            self._timers.change(key, step.timers_set, step.timers_cancelled)

    def send(self, session: Session, key: str, commands: Sequence[msgspec.Struct]) -> None:
        """Send commands that a command to the process manager calls for; its event is recorded before."""
        stream, envelope = self._manager.stream(key), session.envelope
        version = session.version(stream)
        cause = Cause(f"{stream}@{version}", envelope.correlation_id, envelope.traceparent)
        messages = self._manager.messages(commands, key, version, cause)
        keep_commands(session, messages)
        if self._dispatcher is not None:
            dispatcher = self._dispatcher
            session.after_commit(lambda: dispatcher.send(messages))

    def set_timers(self, session: Session, key: str, timers: Collection[Timer]) -> None:
        """Set timers."""
        keep_timers(session, key, timers)
        if self._timers is not None and timers:
            saga_timers = self._timers
            session.after_commit(lambda: saga_timers.change(key, timers, ()))

    async def retry(self, session: Session, command_ids: Collection[str]) -> None:
        """Put failed commands back into the outbox as they were."""
        failed = await session.notes(FAILED, command_ids)
        for command_id, note in failed.items():
            session.note(FAILED, command_id, None)
            session.note(OUTBOX, command_id, note)
        if self._dispatcher is not None:
            dispatcher = self._dispatcher
            session.after_commit(lambda: dispatcher.send_notes(failed.values()))

    def forget(self, session: Session, key: str, failed: Iterable[str], timers: Collection[str]) -> None:
        """Forget failed commands and timers; what still waits to be sent is dropped once it is settled."""
        for command_id in failed:
            session.note(FAILED, command_id, None)
        for timer in timers:
            session.note(TIMER, timer_key(key, timer), None)
        if self._timers is not None:
            saga_timers = self._timers
            session.after_commit(lambda: saga_timers.change(key, (), timers))
