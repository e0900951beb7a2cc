"""MongoDB or NATS lost in the middle: tried for a while, then told in a line, and done the next time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

import infra.mongo
from infra.embedded.mongo import mongo_server
from infra.event_log.client import LogClient
from infra.mongo import Mongo
from infra.settings import Settings
from infra.sockets import free_port
from read_models import stock
from read_models.orders import ORDERS
from read_models.projection.model import Occurrence
from read_models.projection.versions import versions_of
from read_models.replay.errors import ReplayFailed
from read_models.replay.start import begin
from read_models.replay.state import State, change_replay, find_replay, replay_of
from read_models.replay.worker import Worker
from read_models.stock import STOCK, Stock
from tests.conftest import Server
from tests.read_models import examples
from tests.read_models.logs import Logs, eventually, stored
from tests.read_models.replay.mongo_wire import Moment
from tests.read_models.replay.replaying import lives, replayed
from tests.read_models.replay.versions import Command, project_all

MORE_THAN_IS_READ_AHEAD = 6_000


def wrong(document: Stock | None, occurrence: Occurrence) -> Stock:
    """A projection that counts a unit too many."""
    changed = stock.project(document, occurrence)
    return msgspec.structs.replace(changed, on_hand=changed.on_hand + 1)


async def half_way(mongo: Mongo, model: str) -> None:
    """Return when some of a replay is done."""

    async def there() -> bool:
        replay = await find_replay(mongo, model)
        return replay is not None and replay.done > 20

    await eventually(there)


async def hurry(mongo: Mongo, model: str) -> None:
    """Let a replay go on as fast as it goes."""
    await change_replay(mongo, model, lambda replay: msgspec.structs.replace(replay, limit=None))


async def test_a_repair_and_a_switch_that_lose_mongodb_have_done_all_or_nothing_and_say_so(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(("order-1", examples.placed("1")))
    await logs.happened(*((f"stock-SKU{number}", examples.received) for number in range(10)))
    await project_all(mongo, connection, logs, ORDERS, "orders")
    await project_all(mongo, connection, logs, replace(STOCK, project=wrong), "stock")
    await replayed(connection, mongo, ORDERS)
    before = await stored(mongo, "stock")
    ended = await asyncio.gather(
        replay.loses_mongo(Moment("update stock"), "repair", "stock", "--context", "inventory"),
        replay.loses_mongo(Moment("commitTransaction"), "switch", "orders"),
    )
    for one in ended:
        assert one.told.startswith("orderfold: MongoDB: ")
        assert one.told.endswith("; is the stack running?")
    assert await stored(mongo, "stock") == before
    assert (await versions_of(mongo, "orders")).live == "orders"
    again = await asyncio.gather(
        replay("repair", "stock", "--context", "inventory"), replay("switch", "orders")
    )
    assert [one.status for one in again] == [0, 0]
    assert await stored(mongo, "stock") == await logs.expected(STOCK)
    assert (await versions_of(mongo, "orders")).live == "orders@2"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Server]:
    """A MongoDB server that may be killed."""
    process = mongo_server(tmp_path / "mongo", port := free_port())
    process.start()
    yield Server(process, f"mongodb://127.0.0.1:{port}")
    process.kill()


async def test_a_replay_that_lost_mongodb_for_too_long_goes_on_when_it_is_back(
    nats: Server, connection: Client, logs: Logs, database: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever goes on with it waits until the lease of the one that could not let go of it has ended."""
    monkeypatch.setattr(infra.mongo, "SELECT_SECONDS", 0.2)
    mongo = Mongo(Settings(mongo_url=database.url, mongo_database="lost"))
    try:
        await logs.open(*ORDERS.contexts)
        await logs.happened(*lives(0, 100))
        await begin(mongo, [ORDERS], limit=20, switch=False)
        worker = Worker(mongo, LogClient(connection), ORDERS, retry_seconds=0.5)
        replaying = asyncio.create_task(worker.run(asyncio.Event()))
        await half_way(mongo, "orders")
        database.process.kill()
        told = "replay of orders failed: MongoDB: .*; once that is mended, `replay resume orders` goes on"
        with pytest.raises(ReplayFailed, match=told):
            await replaying
        database.process.start()
        assert (await versions_of(mongo, "orders")).versions == ("orders",)
        resumed = await Command(nats.url, database.url, "lost")("resume", "orders", "--rate", "100000")
        assert "orders@2 is ready" in resumed.out
        assert await stored(mongo, "orders@2") == await logs.expected(ORDERS)
    finally:
        mongo.close()


async def test_a_replay_that_lost_nats_for_too_long_has_failed_and_goes_on_when_it_is_back(
    mongo: Mongo, connection: Client, logs: Logs, nats: Server
) -> None:
    await logs.happened(
        *((f"stock-SKU{number % 10}", examples.received) for number in range(MORE_THAN_IS_READ_AHEAD))
    )
    await begin(mongo, [STOCK], limit=300, switch=False)
    asking = LogClient(connection, timeout=0.5)
    replaying = asyncio.create_task(Worker(mongo, asking, STOCK, retry_seconds=0.5).run(asyncio.Event()))
    await half_way(mongo, "stock")
    nats.process.kill()
    with pytest.raises(ReplayFailed, match="once that is mended, `replay resume stock` goes on"):
        await replaying
    failed = await replay_of(mongo, "stock")
    assert (failed.state, failed.worker) == (State.FAILED, None)
    assert failed.problem
    assert 0 < failed.done < failed.total
    nats.process.start()
    await hurry(mongo, "stock")
    resumed = await Worker(mongo, LogClient(connection), STOCK).run(asyncio.Event())
    assert resumed.state is State.READY
    assert await stored(mongo, "stock@2") == await logs.expected(STOCK)


async def test_nats_killed_in_the_middle_only_delays_a_replay(
    mongo: Mongo, connection: Client, logs: Logs, nats: Server
) -> None:
    await logs.happened(
        *((f"stock-SKU{number % 10}", examples.received) for number in range(MORE_THAN_IS_READ_AHEAD))
    )
    await begin(mongo, [STOCK], limit=300, switch=False)
    worker = Worker(mongo, LogClient(connection), STOCK)
    replaying = asyncio.create_task(worker.run(asyncio.Event()))
    await half_way(mongo, "stock")
    nats.process.kill()
    assert not replaying.done()
    nats.process.start()
    await hurry(mongo, "stock")
    assert (await replaying).state is State.READY
    assert await stored(mongo, "stock@2") == await logs.expected(STOCK)
