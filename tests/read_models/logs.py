"""Contexts at work as far as read models can tell: a store, its relay, its log and its dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.client import Client

from contexts.catalog.events import CatalogEvent
from contexts.messages import wire_name
from infra.event_log.relay import Relay
from infra.event_log.server import LogClient, LogService
from infra.event_log.subscription import LogReader
from infra.event_store.store import EventStore
from infra.messages.codec import EventCodec
from infra.messages.events import PARTITIONS, Append, Metadata, NewEvent, StreamAppend
from infra.mongo import Mongo
from infra.runtime.context import Context
from infra.runtime.dead_letters.server import DeadLetterService
from infra.runtime.inbox import Inbox
from infra.runtime.stream_cache import Streams
from read_models.projection.folding import Fold
from read_models.projection.model import ReadModel
from read_models.projection.projector import Projector
from tests.support.deadlines import HOLDS_SECONDS


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when the condition holds; fails after a deadline."""
    async with asyncio.timeout(HOLDS_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


class Logs:
    """The logs of the contexts that something happened in."""

    def __init__(self, nats: Client, folder: Path) -> None:
        self._nats = nats
        self._folder = folder
        self._stores: dict[str, EventStore] = {}
        self._services: list[LogService | DeadLetterService] = []
        self._relays: list[asyncio.Task[None]] = []
        self._versions: dict[str, int] = {}

    async def open(self, *contexts: str) -> None:
        """Have these contexts serve, even if nothing happens in them."""
        for context in contexts:
            await self._store(context)

    async def _store(self, context: str) -> EventStore:
        if context not in self._stores:
            self._folder.mkdir(exist_ok=True)
            store = await EventStore.open(context, f"sqlite:{self._folder / context}.db")
            self._stores[context] = store
            service = LogService(self._nats, store)
            await service.start()
            self._services.append(service)
            letters = DeadLetterService(self._nats, store, await deaf_inbox(context, store, self._nats))
            await letters.start()
            self._services.append(letters)
            self._relays.append(asyncio.create_task(Relay(self._nats, store).run()))
        return self._stores[context]

    async def happened(self, *happened: tuple[str, msgspec.Struct]) -> None:
        """Record what happened on which stream, in order."""
        await self.record(
            *((stream, wire_name(type(event)), msgspec.json.encode(event)) for stream, event in happened)
        )

    async def record(self, *events: tuple[str, str, bytes]) -> None:
        """Record events as they are to be stored: stream, name, data."""
        metadata = Metadata(time=datetime.now(UTC), causation_id="c", correlation_id="c", actor="test")
        appends: dict[str, dict[str, list[NewEvent]]] = {}
        for stream, name, data in events:
            context = name.partition(".")[0]
            appends.setdefault(context, {}).setdefault(stream, []).append(NewEvent(name, data))
        for context, streams in appends.items():
            store = await self._store(context)
            await store.append(
                Append(
                    streams=tuple(
                        StreamAppend(stream, self._versions.get(stream, 0), tuple(its), metadata)
                        for stream, its in streams.items()
                    )
                )
            )
            for stream, its in streams.items():
                self._versions[stream] = self._versions.get(stream, 0) + len(its)

    async def heads(self, model: ReadModel[Any]) -> dict[tuple[str, int], int]:
        """The last position of each partition that has one, of the contexts that feed a model."""
        return {
            (context, partition): position
            for context in model.contexts
            for partition, position in enumerate(await (await self._store(context)).partition_heads())
            if position
        }

    async def expected(self, model: ReadModel[Any]) -> dict[str, bytes]:
        """The documents a model ought to have, folded from the stores."""
        fold = Fold(model)
        for context in model.contexts:
            async for events in LogClient(self._nats).read(context):
                fold.add(events)
        return dict(fold.stored())

    async def stop(self) -> None:
        """Stop all of them."""
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)
        for service in self._services:
            await service.stop()
        for store in self._stores.values():
            await store.close()


async def deaf_inbox(name: str, store: EventStore, nats: Client) -> Inbox:
    """The inbox of a context that receives nothing."""

    async def refuse(*_: Any) -> None:
        raise NotImplementedError

    context = Context(
        name=name,
        commands=None,
        events=CatalogEvent,
        initial=lambda _: None,
        evolve=lambda state, _: state,
        primary=str,
        handle=refuse,
    )
    inbox = Inbox(context, Streams(store, EventCodec(CatalogEvent), context.initial, context.evolve), nats)
    await inbox.run()
    return inbox


async def stored(mongo: Mongo, collection: str) -> dict[str, bytes]:
    """The documents of a collection as they are stored."""
    return {key: data async for key, data in mongo.find_stored(collection, {})}


async def caught_up(mongo: Mongo, logs: Logs, model: ReadModel[Any], collection: str | None = None) -> None:
    """Return when the checkpoints of a model (or of a version of it) stand at the heads of the logs."""
    name = collection or model.name
    heads = await logs.heads(model)

    async def there() -> bool:
        found = await mongo.find("checkpoints", {})
        positions = {item["_id"]: item["position"] for item in found}
        return all(
            positions.get(f"{name}/{context}/{partition}") == position
            for (context, partition), position in heads.items()
        )

    await eventually(there)


@asynccontextmanager
async def projecting(
    mongo: Mongo, nats: Client, model: ReadModel[Any], partitions: Any = range(PARTITIONS)
) -> AsyncIterator[Projector[Any]]:
    """A projector at work meanwhile; fails if it ended by itself."""
    reader = LogReader(nats, f"rm-{model.name}", model.contexts, partitions)
    projector = Projector(mongo, reader, model, partitions)
    stopping = asyncio.Event()
    running = asyncio.create_task(projector.run(stopping))
    try:
        yield projector
        assert not running.done()
    finally:
        stopping.set()
        await running
