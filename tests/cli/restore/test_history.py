"""A store beside its stream: how far both tell the same, and whether the rest can be put back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from gateway.cli.restore.history import compare
from infra.event_log.relay import Relay
from infra.event_store.store import EventStore
from infra.nats.connection import connect
from infra.nats.jetstream import ask, stream_name
from infra.settings import Settings
from tests.conftest import Server
from tests.infra.event_log.ordering_log import CONTEXT, OrderingLog, published_up_to, running


@pytest.fixture
async def connection(nats: Server) -> AsyncIterator[Client]:
    client = await connect(Settings(nats_url=nats.url), "test")
    yield client
    await client.close()


async def add(log: OrderingLog, events: int, pad: int = 0) -> int:
    """Some events, each committed by itself: the first of many are the same as those of few."""
    position = 0
    for _ in range(events):
        position = await log.add(1, pad=pad)
    return position


async def publish(connection: Client, file: Path, events: int) -> None:
    """A store of so many events, all published."""
    store = await EventStore.open(CONTEXT, f"sqlite:{file}")
    async with running(Relay(connection, store).run()):
        await published_up_to(connection, await add(OrderingLog(store), events))
    await store.close()


@pytest.fixture
async def restored(tmp_path: Path) -> AsyncIterator[EventStore]:
    """Another store, which has had other events or fewer."""
    store = await EventStore.open(CONTEXT, f"sqlite:{tmp_path / 'restored.db'}")
    yield store
    await store.close()


@pytest.mark.parametrize("events", [0, 1, 63, 99])
async def test_what_an_older_store_lacks_goes_on_where_it_ends(
    connection: Client, tmp_path: Path, restored: EventStore, events: int
) -> None:
    await publish(connection, tmp_path / "published.db", 100)
    await add(OrderingLog(restored), events)
    history = await compare(connection, restored)
    assert (history.head, history.common, history.published) == (events, events, 100)
    assert [event.position for event in history.only_published] == list(range(events + 1, 101))
    assert history.continues


async def test_a_store_that_has_everything_is_the_same(
    connection: Client, tmp_path: Path, restored: EventStore
) -> None:
    await publish(connection, tmp_path / "published.db", 40)
    await add(OrderingLog(restored), 50)
    history = await compare(connection, restored)
    assert (history.behind, history.common, history.published) == (False, 40, 40)


async def test_a_store_that_went_on_with_something_else_gets_nothing_back(
    connection: Client, tmp_path: Path, restored: EventStore
) -> None:
    await publish(connection, tmp_path / "published.db", 60)
    log = OrderingLog(restored)
    await add(log, 50)
    await add(log, 20, pad=3)
    history = await compare(connection, restored)
    assert (history.common, len(history.only_published), history.continues) == (50, 10, False)


async def test_a_stream_with_holes_is_not_put_back(
    connection: Client, tmp_path: Path, restored: EventStore
) -> None:
    # A stream that allows what ours forbids stands for a damaged one.
    loose = {"name": stream_name(CONTEXT), "subjects": [f"ev.{CONTEXT}.>"], "allow_atomic": True}
    await ask(connection, f"STREAM.CREATE.{stream_name(CONTEXT)}", dict, loose)
    await publish(connection, tmp_path / "published.db", 60)
    await ask(connection, f"STREAM.MSG.DELETE.{stream_name(CONTEXT)}", dict, {"seq": 55})
    await add(OrderingLog(restored), 50)
    history = await compare(connection, restored)
    assert (history.common, len(history.only_published), history.continues) == (50, 9, False)


async def test_without_a_stream_there_is_nothing_to_compare_with(
    connection: Client, restored: EventStore
) -> None:
    await add(OrderingLog(restored), 3)
    history = await compare(connection, restored)
    assert (history.behind, history.published, history.common) == (False, None, 3)
