"""What became of commands: those that are done leave the outbox, those that failed are recorded."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime
from itertools import islice

import structlog

from infra.aio import cancel_all
from infra.event_store.store import StoreUnavailable
from infra.messages.commands import Token
from infra.messages.events import Append, Metadata, Note
from infra.retry import retry
from infra.runtime.context import EventSession, RunningContext
from infra.sagas.outbox import FAILED, OUTBOX, OutboxMessage, encode
from infra.sagas.process_manager import ProcessManager

BATCH = 1_000
LOOK_EVERY = 0.2
"""Seconds between looks at what was received, while a command waits for the event that shows its effect."""
STORE_PAUSE = 1.0
"""Seconds until the store is tried again."""
STOP_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Acknowledgements:
    """Notes how commands ended, many at a time: one whose end is not noted is at worst sent once more.

    An accepted command whose effect an event must show stays in the outbox until everything up to its answer
    was received. If no event shows the effect by then, none will come, and the command has failed.
    """

    def __init__(self, manager: ProcessManager, running: RunningContext) -> None:
        self._manager = manager
        self._running = running
        self._done: dict[str, None] = {}
        self._accepted: dict[tuple[str, int], deque[tuple[Token, OutboxMessage]]] = {}
        self._waiting: set[str] = set()
        self._news = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to note what is done."""
        self._working = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Note what was done until now, if the store answers."""
        await cancel_all(self._working)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._forget()
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("finished commands stay in the outbox", error=str(error))

    def has(self, command_id: str) -> bool:
        """Whether a command was accepted and is in the outbox yet: its event is awaited, or its removal."""
        return command_id in self._waiting or command_id in self._done

    def done(self, command: OutboxMessage) -> None:
        """The command needs nothing any more."""
        self._done[command.command_id] = None
        self._news.set()

    def accepted(self, command: OutboxMessage, at: Token) -> None:
        """A context accepted the command; its events end at a token."""
        if not self._manager.awaits(command):
            self.done(command)
            return
        self._waiting.add(command.command_id)
        self._accepted.setdefault((at.context, at.partition), deque()).append((at, command))
        self._news.set()

    async def fail(self, command: OutboxMessage, reason: str) -> None:
        """Record that the command failed; tried until the store takes it."""

        async def record(session: EventSession) -> None:
            stream = self._manager.stream(command.key)
            (state,) = await session.load(stream)
            session.note(OUTBOX, command.command_id, None)
            if self._manager.settled(state, command):
                return
            session.note(FAILED, command.command_id, encode(command))
            session.record(stream, [self._manager.failed(command, reason)], self._metadata(command))

        await retry(
            lambda: self._running.react(record),
            StoreUnavailable,
            first=STORE_PAUSE,
            longest=STORE_PAUSE,
            report=lambda error: log.warning("command failure not recorded", error=str(error)),
        )
        log.warning("command failed", command=command.command_id, reason=reason)

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._confirm()
                await self._forget()
            except Exception:
                log.exception("command results not recorded, retrying")
                self._news.set()
                await asyncio.sleep(STORE_PAUSE)
            if self._accepted:
                self._news.set()
                await asyncio.sleep(LOOK_EVERY)

    async def _confirm(self) -> None:
        """Look at the accepted commands up to whose answers everything was received."""
        for place, queue in list(self._accepted.items()):
            while queue and self._running.has_received(queue[0][0]):
                _, command = queue[0]
                folded = await self._running.streams.load(self._manager.stream(command.key))
                if self._manager.settled(folded.state, command):
                    self._done[command.command_id] = None
                else:
                    await self.fail(
                        command, f"{command.context} accepted it, but no event shows that it was done"
                    )
                self._waiting.discard(command.command_id)
                queue.popleft()
            if not queue:
                del self._accepted[place]

    async def _forget(self) -> None:
        while self._done:
            batch = list(islice(self._done, BATCH))
            await self._running.store.append(
                Append(notes=tuple(Note(OUTBOX, command_id, None) for command_id in batch))
            )
            for command_id in batch:
                del self._done[command_id]

    def _metadata(self, command: OutboxMessage) -> Metadata:
        return Metadata(
            time=datetime.now(UTC),
            causation_id=command.command_id,
            correlation_id=command.correlation_id,
            actor=self._manager.name,
            traceparent=command.traceparent,
        )
