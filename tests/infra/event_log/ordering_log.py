"""A context's log to relay and read: orders in a real store, and one who reads them as a projector does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from infra.event_log.subscription import Batch, LogReader
from infra.event_store.store import EventStore
from infra.messages.event_headers import EVENT_ID, PREVIOUS
from infra.messages.events import (
    PARTITIONS,
    Append,
    Checkpoint,
    Metadata,
    NewEvent,
    Recorded,
    StreamAppend,
    key_of,
    partition_of,
)
from infra.nats.connection import NatsUnavailable
from infra.nats.jetstream import last_message, message_from, stream_name
from tests.conftest import Server
from tests.support.deadlines import HOLDS_SECONDS

CONTEXT = "ordering"
METADATA = Metadata(
    time=datetime(2025, 3, 4, 5, 6, 7, 891011, tzinfo=UTC),
    causation_id="command-1",
    correlation_id="request-1",
    actor="shop",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


class OrderingLog:
    """Adds events to a store, spread over orders so that every partition gets some."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self._versions: dict[str, int] = {}
        self._added = 0

    async def add(self, events: int, *, order: str | None = None, pad: int = 0) -> int:
        """Commit some events at once; the position of the last."""
        new: dict[str, list[NewEvent]] = {}
        for _ in range(events):
            self._added += 1
            stream = f"order-{order or self._added % 40}"
            data = b'{"n":%d,"pad":"%s"}' % (self._added, b"x" * pad)
            new.setdefault(stream, []).append(NewEvent(f"{self.store.context}.OrderPlaced", data))
        appended = await self.store.append(
            Append(
                streams=tuple(
                    StreamAppend(stream, self._versions.get(stream, 0), tuple(its), METADATA)
                    for stream, its in new.items()
                )
            )
        )
        for stream, its in new.items():
            self._versions[stream] = self._versions.get(stream, 0) + len(its)
        return max(appended.positions)

    async def add_damaged(self, data: bytes) -> int:
        """Commit an event whose data is not JSON; its position."""
        event = NewEvent(f"{self.store.context}.OrderPlaced", data)
        appended = await self.store.append(
            Append(streams=(StreamAppend("order-damaged", 0, (event,), METADATA),))
        )
        return appended.positions[0]

    async def all(self) -> list[Recorded]:
        """The whole log."""
        return await self.store.read_log(0, 1_000_000)

    async def chain(self) -> list[tuple[int, int, str]]:
        """Position, previous position in the partition, and id of each event."""
        return chained(await self.all())


def chained(events: list[Recorded]) -> list[tuple[int, int, str]]:
    """What the headers of each event must say."""
    previous: dict[int, int] = {}
    chain = []
    for event in events:
        chain.append((event.position, previous.get(event.partition, 0), event.event_id))
        previous[event.partition] = event.position
    return chain


async def published(nats: Client, context: str = CONTEXT) -> list[tuple[int, int, str]]:
    """The same of every event in the stream."""
    messages = []
    sequence = 1
    while message := await message_from(nats, stream_name(context), sequence, f"ev.{context}.>"):
        headers = message.headers
        if message.position:
            messages.append((message.position, int(headers[PREVIOUS]), headers[EVENT_ID]))
        sequence = message.seq + 1
    return messages


async def published_up_to(nats: Client, position: int) -> None:
    """Return when the stream's last event is at this position."""

    async def there() -> bool:
        try:
            message = await last_message(nats, stream_name(CONTEXT), f"ev.{CONTEXT}.>")
        except NatsUnavailable:
            return False
        return message is not None and message.position >= position

    await eventually(there)


class Projection:
    """Applies batches as a read model does, events and checkpoints together; refuses what does not follow."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, str]] = []
        self.bodies: list[bytes] = []
        self.checkpoints: dict[tuple[str, int], Checkpoint] = {}
        self.history: list[dict[tuple[str, int], Checkpoint]] = []

    def apply(self, batch: Batch) -> None:
        """Take one batch; fails on an event that is repeated, skipped or out of order."""
        standing = {place: checkpoint.position for place, checkpoint in self.checkpoints.items()}
        for event in batch.events:
            place = (event.context, event.partition)
            assert event.prev == standing.get(place, 0), f"{event.event_id} does not follow"
            assert event.partition == partition_of(key_of(event.stream))
            standing[place] = event.position
            self.events.append((event.context, event.position, event.event_id))
            self.bodies.append(event.data)
        self.checkpoints.update(batch.checkpoints)
        self.history.append(dict(self.checkpoints))
        assert {place: checkpoint.position for place, checkpoint in self.checkpoints.items()} == {
            place: standing.get(place, 0) for place in self.checkpoints
        }

    async def follow(self, reader: LogReader) -> None:
        """Read for ever."""
        await reader.start(self.checkpoints)
        try:
            while True:
                batch = await reader.next(limit=100)
                assert batch is not None
                self.apply(batch)
                await reader.done(batch)
        finally:
            await reader.stop()

    async def has(self, *logs: OrderingLog, partitions: Collection[int] = range(PARTITIONS)) -> None:
        """Return when every event of the logs' partitions was applied; fails if anything else was."""
        wanted = [
            (log.store.context, event.position, event.event_id)
            for log in logs
            for event in await log.all()
            if event.partition in partitions
        ]

        async def complete() -> bool:
            return len(self.events) >= len(wanted)

        await eventually(complete)
        assert sorted(self.events) == sorted(wanted)


async def eventually(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Return when the condition holds; fails after a deadline."""
    async with asyncio.timeout(HOLDS_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Let something run meanwhile; fails at once if it does."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def wipe(nats: Server, folder: Path) -> None:
    """Kill the server, delete all JetStream has, start it again."""
    nats.process.kill()
    shutil.rmtree(folder / "jetstream")
    nats.process.start()


def damage(nats: Server, folder: Path, event: bytes, *, kill: bool = True) -> None:
    """End the server, flip one bit inside an event's payload on its disk, start it again."""
    if kill:
        nats.process.kill()
    else:
        nats.process.stop()
    block = next(path for path in folder.rglob("*.blk") if event in path.read_bytes())
    data = bytearray(block.read_bytes())
    data[data.index(event) + len(event) - 1] ^= 1
    block.write_bytes(data)
    nats.process.start()
