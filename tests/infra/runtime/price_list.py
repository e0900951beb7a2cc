"""Ordering at work on what it receives of the catalog, one event of which may be broken in its store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from contexts.catalog.events import CatalogEvent, ProductAdded, ProductRepriced
from contexts.messages import Event
from contexts.ordering.price_list import ListedProduct
from contexts.ordering.service import PRICE
from contexts.ordering.service import context as ordering
from infra.event_log.relay import Relay
from infra.event_log.server import LogService
from infra.event_store.store import EventStore
from infra.messages.codec import EventCodec
from infra.messages.events import Append, Metadata, NewEvent, StreamAppend
from infra.nats.connection import connect
from infra.runtime.context import EventSession
from infra.runtime.dead_letters.client import DeadLetterClient
from infra.runtime.dead_letters.server import DeadLetterService
from infra.runtime.dead_letters.store import DeadLetter, Fate
from infra.runtime.inbox import Inbox
from infra.runtime.stream_cache import Streams
from infra.settings import Settings
from tests.conftest import Server
from tests.read_models.logs import deaf_inbox
from tests.support.deadlines import HOLDS_SECONDS

BROKEN = NewEvent(
    "catalog.ProductRepriced", b'{"type":"catalog.ProductRepriced","sku":"MUG","unit_price":"?"}'
)

PHOTOGRAPHED = NewEvent("catalog.ProductPhotographed", b'{"type":"catalog.ProductPhotographed","sku":"MUG"}')


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(HOLDS_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


class Catalog:
    """The catalog's store, relayed and served as its process does."""

    def __init__(self, store: EventStore, file: Path) -> None:
        self.store = store
        self._file = file
        self._versions: dict[str, int] = {}

    def mend(self) -> None:
        """Give the broken event the form it should have."""
        with closing(sqlite3.connect(self._file)) as store, store:
            data = msgspec.json.encode(ProductRepriced(sku="MUG", unit_price=1_000))
            store.execute("UPDATE stored_events SET state = ? WHERE state = ?", (data, BROKEN.data))

    def lose(self) -> None:
        """Have no broken event, as a store restored from a backup may have none."""
        with closing(sqlite3.connect(self._file)) as store, store:
            store.execute("DELETE FROM stored_events WHERE state = ?", (BROKEN.data,))

    async def add(self, sku: str, *events: Event | NewEvent) -> None:
        """Commit facts about a product."""
        stream = f"product-{sku}"
        encode = EventCodec(CatalogEvent).encode
        stored = tuple(it if isinstance(it, NewEvent) else encode(it) for it in events)
        now = Metadata(time=datetime.now(UTC), causation_id="c", correlation_id="c", actor="tester")
        version = self._versions.get(stream, 0)
        await self.store.append(Append(streams=(StreamAppend(stream, version, stored, now),)))
        self._versions[stream] = version + len(stored)


class Ordering:
    """Ordering's inbox at work; what it was told of its dead letters."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.told: list[tuple[str, Fate]] = []
        self.failing = False
        self.known: set[str] = set()
        """Events of the catalog that a newer build than ours knows."""
        self.inbox: Inbox

    async def on_dead_letter(self, session: EventSession, letter: DeadLetter, fate: Fate) -> None:
        """Keep what is told, in the transaction it is told in."""
        if self.failing:
            raise RuntimeError("what is kept of it cannot be read")
        session.note("told", letter.note_key, fate.encode())
        session.after_commit(lambda: self.told.append((letter.event_id, fate)))

    async def price(self, sku: str) -> int | None:
        """A product's price as ordering knows it."""
        notes = await self.store.notes(PRICE, {sku})
        return msgspec.json.decode(notes[sku], type=ListedProduct).unit_price if notes else None

    async def knows(self, sku: str, price: int) -> None:
        """Return when ordering knows the price."""

        async def known() -> bool:
            return await self.price(sku) == price

        await eventually(known)

    async def parks(self, *event_ids: str) -> None:
        """Return when these facts, and no others, are parked."""

        async def parked() -> bool:
            return self.parked == list(event_ids)

        await eventually(parked)

    @property
    def parked(self) -> list[str]:
        """The facts that are parked, a key's in order."""
        parked = self.inbox.parked
        return [letter.event_id for key in parked for letter in parked.of(key)]


@asynccontextmanager
async def at_work(
    server: Server, catalog: EventStore, store: EventStore, made: Ordering
) -> AsyncIterator[DeadLetterClient]:
    """Both contexts' processes, as far as facts are concerned."""
    connection = await connect(Settings(nats_url=server.url), "test")
    served = [LogService(connection, each) for each in (catalog, store)]
    for service in served:
        await service.start()
    context = ordering(Settings())
    known = {**context.known_events, "catalog": {*context.known_events["catalog"], *made.known}}
    context = replace(
        context,
        on_dead_letter=made.on_dead_letter,
        receives={"catalog": CatalogEvent},
        known_events=known,
    )
    streams = Streams(store, EventCodec(context.events), context.initial, context.evolve)
    made.inbox = Inbox(context, streams, connection)
    deaf = await deaf_inbox("catalog", catalog, connection)
    letters = [DeadLetterService(connection, *of) for of in ((catalog, deaf), (store, made.inbox))]
    for each in letters:
        await each.start()
    work = (Relay(connection, catalog).run(), Relay(connection, store).run(), made.inbox.run())
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield DeadLetterClient(connection, timeout=HOLDS_SECONDS)
    finally:
        for each in letters:
            await each.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for service in served:
            await service.stop()
        await connection.close()


@asynccontextmanager
async def a_catalog(file: Path) -> AsyncIterator[Catalog]:
    """The catalog with a mug and a cup."""
    store = await EventStore.open("catalog", f"sqlite:{file}")
    made = Catalog(store, file)
    for sku in ("MUG", "CUP"):
        await made.add(sku, ProductAdded(sku=sku, name=sku, unit_price=900, currency="GBP"))
    yield made
    await store.close()
