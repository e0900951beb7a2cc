"""What became of the saga's commands: done ones leave the outbox, failed ones make the order stuck."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime

import structlog

from contexts.fulfilment.events import CommandFailed
from contexts.fulfilment.issued import FAILED, OUTBOX, IssuedCommand, encode, saga_stream
from contexts.fulfilment.state import Saga
from contexts.fulfilment.steps import awaited, obsolete
from infra.event_store.store import StoreUnavailable
from infra.messages.commands import Token
from infra.messages.events import Append, Metadata, Note
from infra.runtime.context import Reaction, RunningContext

BATCH = 1_000
LOOK_EVERY = 0.2
"""Seconds between looks at how far the saga has heard, while a command waits for its fact."""
STORE_PAUSE = 1.0
"""Seconds until the store is tried again."""
STOP_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Acknowledgements:
    """Notes how commands ended, many at a time: one whose end is not noted is at worst sent once more.

    An accepted command whose fact the saga waits for stays in the outbox until the saga has heard everything
    up to the answer. If no fact shows the effect by then, none will come, and the command has failed.
    """

    def __init__(self, running: RunningContext) -> None:
        self._running = running
        self._done: list[str] = []
        self._accepted: dict[tuple[str, int], deque[tuple[Token, IssuedCommand]]] = {}
        self._waiting: set[str] = set()
        self._news = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to note what is done."""
        self._working = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Note what was done until now, if the store answers."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait({self._working})
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._forget()
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("commands that are done will be sent once more", error=str(error))

    def has(self, command_id: str) -> bool:
        """Whether an accepted command waits for its fact."""
        return command_id in self._waiting

    def done(self, command: IssuedCommand) -> None:
        """The command needs nothing any more."""
        self._done.append(command.command_id)
        self._news.set()

    def accepted(self, command: IssuedCommand, at: Token) -> None:
        """A context accepted the command; its events end at a token."""
        if not awaited(command.step):
            self.done(command)
            return
        self._waiting.add(command.command_id)
        self._accepted.setdefault((at.context, at.partition), deque()).append((at, command))
        self._news.set()

    async def fail(self, command: IssuedCommand, reason: str) -> None:
        """Make the order stuck, visibly; tried until the store takes it."""

        async def record(reaction: Reaction) -> None:
            stream = saga_stream(command.order_id)
            saga: Saga
            (saga,) = await reaction.load(stream)
            reaction.note(OUTBOX, command.command_id, None)
            if obsolete(saga, command.step):
                return
            reaction.note(FAILED, command.command_id, encode(command))
            failed = CommandFailed(
                order_id=command.order_id,
                command_id=command.command_id,
                command=command.name,
                reason=reason,
                return_id=command.return_id,
            )
            reaction.record(stream, [failed], _metadata(command))

        while True:
            try:
                await self._running.react(record)
            except StoreUnavailable as error:
                log.warning("store does not take a failure", error=str(error))
                await asyncio.sleep(STORE_PAUSE)
            else:
                log.warning("order is stuck", command=command.command_id, reason=reason)
                return

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._confirm()
                await self._forget()
            except Exception:
                log.exception("the ends of commands are not noted, they will be")
                self._news.set()
                await asyncio.sleep(STORE_PAUSE)
            if self._accepted:
                self._news.set()
                await asyncio.sleep(LOOK_EVERY)

    async def _confirm(self) -> None:
        """Look at the accepted commands whose events the saga has heard."""
        for place, queue in list(self._accepted.items()):
            while queue and self._running.has_heard(queue[0][0]):
                _, command = queue[0]
                folded = await self._running.streams.load(saga_stream(command.order_id))
                if obsolete(folded.state, command.step):
                    self._done.append(command.command_id)
                else:
                    context = command.name.partition(".")[0]
                    await self.fail(command, f"{context} accepted it, but no event shows that it was done")
                self._waiting.discard(command.command_id)
                queue.popleft()
            if not queue:
                del self._accepted[place]

    async def _forget(self) -> None:
        while self._done:
            batch = self._done[:BATCH]
            await self._running.store.append(
                Append(notes=tuple(Note(OUTBOX, command_id, None) for command_id in batch))
            )
            del self._done[: len(batch)]


def _metadata(command: IssuedCommand) -> Metadata:
    return Metadata(
        time=datetime.now(UTC),
        causation_id=command.command_id,
        correlation_id=command.correlation_id,
        actor="fulfilment",
        traceparent=command.traceparent,
    )
