"""What became of the saga's commands, written to its store: settled ones are forgotten, failed ones kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog

from contexts.fulfilment.events import CommandFailed
from contexts.fulfilment.issued import FAILED, OUTBOX, IssuedCommand, encode, saga_stream
from contexts.fulfilment.knowledge import Saga
from contexts.fulfilment.settlement import obsolete
from infra.event_store import StoreUnavailable
from infra.records import Append, Metadata, Note
from infra.runtime import Reaction, RunningContext

BATCH = 1_000
STORE_PAUSE = 1.0
"""Seconds until the store is tried again."""
STOP_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Outcomes:
    """Forgets settled commands many at a time: one that is not yet forgotten is at worst sent once more."""

    def __init__(self, running: RunningContext) -> None:
        self._running = running
        self._settled: list[str] = []
        self._news = asyncio.Event()
        self._forgetting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to forget what is settled."""
        self._forgetting = asyncio.create_task(self._forget_settled())

    async def stop(self) -> None:
        """Forget what was settled until now, if the store answers."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            await asyncio.wait({self._forgetting})
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._forget()
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("settled commands will be sent once more", error=str(error))

    def settle(self, command: IssuedCommand) -> None:
        """The command needs nothing any more."""
        self._settled.append(command.command_id)
        self._news.set()

    async def fail(self, command: IssuedCommand, reason: str) -> None:
        """Make the order stuck, visibly; tried until the store takes it."""

        async def record(reaction: Reaction) -> None:
            stream = saga_stream(command.order_id)
            saga: Saga
            (saga,) = await reaction.load(stream)
            reaction.note(OUTBOX, command.command_id, None)
            if obsolete(saga, command.name, command.return_id):
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

    async def _forget_settled(self) -> None:
        while True:
            await self._news.wait()
            try:
                await self._forget()
            except Exception:
                log.exception("store does not forget settled commands, it is asked again")
                self._news.set()
                await asyncio.sleep(STORE_PAUSE)

    async def _forget(self) -> None:
        self._news.clear()
        while self._settled:
            batch = self._settled[:BATCH]
            await self._running.store.append(
                Append(notes=tuple(Note(OUTBOX, command_id, None) for command_id in batch))
            )
            del self._settled[: len(batch)]


def _metadata(command: IssuedCommand) -> Metadata:
    return Metadata(
        time=datetime.now(UTC),
        causation_id=command.command_id,
        correlation_id=command.correlation_id,
        actor="fulfilment",
        traceparent=command.traceparent,
    )
