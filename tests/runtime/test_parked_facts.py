"""Facts a context cannot take: parked with those behind them, told to the context, retried or skipped."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from contexts.catalog.events import CatalogEvent, ProductAdded, ProductRepriced
from contexts.messages import Event
from contexts.ordering.price_list import ListedProduct
from contexts.ordering.service import PRICE
from contexts.ordering.service import context as ordering
from infra.dead_letters import DeadLetter, Fate
from infra.event_codec import EventCodec
from infra.event_store import EventStore
from infra.inbox import Inbox
from infra.log_client import LogClient
from infra.log_service import LogService
from infra.nats import connect
from infra.records import Append, Metadata, NewEvent, StreamAppend
from infra.relay import Relay
from infra.runtime import Reaction
from infra.settings import Settings
from infra.streams import Streams
from tests.conftest import Server

DEADLINE = 60.0
BROKEN = NewEvent(
    "catalog.ProductRepriced", b'{"type":"catalog.ProductRepriced","sku":"MUG","unit_price":"?"}'
)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(DEADLINE):
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
        self.inbox: Inbox

    async def on_dead_letter(self, reaction: Reaction, letter: DeadLetter, fate: Fate) -> None:
        """Keep what is told, in the transaction it is told in."""
        if self.failing:
            raise RuntimeError("what is kept of it cannot be read")
        reaction.note("told", letter.note_key, fate.encode())
        reaction.after_commit(lambda: self.told.append((letter.event_id, fate)))

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
) -> AsyncIterator[LogClient]:
    """Both contexts' processes, as far as facts are concerned."""
    connection = await connect(Settings(nats_url=server.url), "test")
    served = LogService(connection, catalog)
    await served.start()
    context = replace(
        ordering(Settings()), on_dead_letter=made.on_dead_letter, hears={"catalog": CatalogEvent}
    )
    streams = Streams(store, EventCodec(context.events), context.initial, context.evolve)
    made.inbox = Inbox(context, streams, connection)
    tasks = [asyncio.create_task(Relay(connection, catalog).run()), asyncio.create_task(made.inbox.run())]
    try:
        yield LogClient(connection, timeout=DEADLINE)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await served.stop()
        await connection.close()


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    """The catalog with a mug and a cup."""
    file = tmp_path / "catalog.db"
    store = await EventStore.open("catalog", f"sqlite:{file}")
    made = Catalog(store, file)
    for sku in ("MUG", "CUP"):
        await made.add(sku, ProductAdded(sku=sku, name=sku, unit_price=900, currency="GBP"))
    yield made
    await store.close()


@pytest.fixture
async def price_list(store_url: str) -> AsyncIterator[Ordering]:
    """Ordering, once on each database."""
    store = await EventStore.open("ordering", store_url)
    yield Ordering(store)
    await store.close()


async def test_a_fact_that_cannot_be_read_waits_with_those_behind_it_and_others_go_on(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN, ProductRepriced(sku="MUG", unit_price=1_100))
    await catalog.add("CUP", ProductRepriced(sku="CUP", unit_price=700))
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.knows("CUP", 700)
        await price_list.parks("product-MUG@2", "product-MUG@3")
        await catalog.add("MUG", ProductRepriced(sku="MUG", unit_price=1_200))
        await price_list.parks("product-MUG@2", "product-MUG@3", "product-MUG@4")
        assert await price_list.price("MUG") == 900
        first, *behind = price_list.inbox.parked.of("MUG")
        assert "unit_price" in first.error
        assert [letter.error for letter in behind] == ["", ""]
    assert price_list.told == [("product-MUG@2", "parked")]


async def test_what_is_parked_still_is_after_a_restart(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN)
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.parks("product-MUG@2")
    await catalog.add("MUG", ProductRepriced(sku="MUG", unit_price=1_100))
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.parks("product-MUG@2", "product-MUG@3")
    assert await price_list.price("MUG") == 900


async def test_a_retried_fact_is_taken_once_it_can_be_read_and_the_context_is_told(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN)
    async with at_work(nats, catalog.store, price_list.store, price_list) as log:
        await price_list.parks("product-MUG@2")
        (letter,) = price_list.inbox.parked.of("MUG")
        for mended in (False, True):
            if mended:
                catalog.mend()
            (fact,) = (await log.page("catalog", letter.position - 1, limit=1)).events
            left = await price_list.inbox.retry(letter, fact, ())
            assert (left is None) == mended
        assert price_list.parked == []
    assert await price_list.price("MUG") == 1_000
    assert await price_list.store.notes("dead-letter") == {}
    assert await price_list.store.notes("told") == {letter.note_key: b"retried"}
    assert price_list.told == [(letter.event_id, fate) for fate in ("parked", "parked", "retried")]


async def test_a_skipped_fact_is_never_taken_and_the_context_is_told(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN)
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.parks("product-MUG@2")
        (letter,) = price_list.inbox.parked.of("MUG")
        await price_list.inbox.skip(letter, ())
        await catalog.add("MUG", ProductRepriced(sku="MUG", unit_price=1_100))
        await price_list.knows("MUG", 1_100)
    assert price_list.told == [("product-MUG@2", "parked"), ("product-MUG@2", "skipped")]


async def test_a_fact_is_parked_even_if_the_context_cannot_be_told(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    """Otherwise it would hold up all others."""
    price_list.failing = True
    await catalog.add("MUG", BROKEN)
    await catalog.add("CUP", ProductRepriced(sku="CUP", unit_price=700))
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.knows("CUP", 700)
        await price_list.parks("product-MUG@2")
