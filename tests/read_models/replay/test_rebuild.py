"""A read model rebuilt beside the live one is the same, byte for byte, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import structs
from nats.aio.client import Client

from infra.embedded.mongo import mongo_server
from infra.event_log.client import LogClient
from infra.mongo import Mongo
from infra.settings import Settings
from infra.sockets import free_port
from read_models.orders import ORDERS
from read_models.projection.versions import versions_of
from read_models.registry import MODELS
from read_models.replay.errors import ReplayFailed
from read_models.replay.start import begin
from read_models.replay.state import State, change_replay, replay_of
from read_models.replay.worker import Worker
from read_models.stock import STOCK
from tests.read_models.logs import Logs, caught_up, eventually, stored
from tests.read_models.replay.replaying import lives, projectors, replayed, shop_opened

pytestmark = pytest.mark.fallback


async def test_every_model_is_rebuilt_the_same(mongo: Mongo, connection: Client, logs: Logs) -> None:
    contexts = {context for model in MODELS.values() for context in model.contexts}
    await logs.open(*contexts)
    await logs.happened(*shop_opened(), *lives(0, 20))
    for model in MODELS.values():
        replay = await replayed(connection, mongo, model, batch=17)
        assert replay.state is State.READY
        expected = await logs.expected(model)
        assert expected
        assert await stored(mongo, replay.collection) == expected


async def test_a_model_is_rebuilt_while_events_keep_coming(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 60))
    async with projectors(connection, mongo, ORDERS):
        rebuilding = asyncio.create_task(replayed(connection, mongo, ORDERS))
        for first in range(60, 160, 10):
            await logs.happened(*lives(first, 10))
            await asyncio.sleep(0)
        replay = await rebuilding
        assert (replay.state, replay.collection) == (State.READY, "orders@2")
        assert (await versions_of(mongo, "orders")).live == "orders"
        await caught_up(mongo, logs, ORDERS)
        await caught_up(mongo, logs, ORDERS, "orders@2")
    expected = await logs.expected(ORDERS)
    assert await stored(mongo, "orders@2") == expected == await stored(mongo, "orders")


async def test_a_rebuilt_model_is_the_same_for_every_split_of_its_partitions(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 30))
    async with (
        projectors(connection, mongo, ORDERS, partitions=[0, 1, 2, 3, 4]),
        projectors(connection, mongo, ORDERS, partitions=[5]),
        projectors(connection, mongo, ORDERS, partitions=range(6, 16)),
    ):
        await replayed(connection, mongo, ORDERS)
        await logs.happened(*lives(30, 30))
        for version in ("orders", "orders@2"):
            await caught_up(mongo, logs, ORDERS, version)
            assert await stored(mongo, version) == await logs.expected(ORDERS)


async def test_a_context_that_does_not_answer_fails_a_replay_that_can_then_be_resumed(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await begin(mongo, [STOCK], limit=None, switch=False)
    impatient = Worker(mongo, LogClient(connection, timeout=0.2), STOCK, retry_seconds=0.1)
    with pytest.raises(ReplayFailed, match="the replay of stock failed: inventory did not answer"):
        await impatient.run(asyncio.Event())
    failed = await replay_of(mongo, "stock")
    assert failed.state is State.FAILED
    assert failed.problem is not None
    assert not failed.attended
    await logs.happened(*shop_opened())
    replay = await Worker(mongo, LogClient(connection), STOCK).run(asyncio.Event())
    assert replay.state is State.READY
    assert await stored(mongo, "stock@2") == await logs.expected(STOCK)


async def test_a_database_that_is_killed_in_the_middle_only_delays_a_replay(
    tmp_path: Path, connection: Client, logs: Logs
) -> None:
    server = mongo_server(tmp_path / "mongo", port := free_port())
    server.start()
    mongo = Mongo(Settings(mongo_url=f"mongodb://127.0.0.1:{port}", mongo_database="faults"))
    try:
        await logs.open(*ORDERS.contexts)
        await logs.happened(*lives(0, 200))
        await begin(mongo, [ORDERS], limit=50, switch=False)
        worker = Worker(mongo, LogClient(connection), ORDERS)
        replaying = asyncio.create_task(worker.run(asyncio.Event()))

        async def half_way() -> bool:
            return (await replay_of(mongo, "orders")).done > 20

        await eventually(half_way)
        server.kill()
        server.start()
        await change_replay(mongo, "orders", lambda replay: structs.replace(replay, limit=None))
        replay = await replaying
        assert (replay.state, replay.done) == (State.READY, replay.total)
        assert await stored(mongo, "orders@2") == await logs.expected(ORDERS)
    finally:
        mongo.close()
        server.kill()


async def test_a_wiped_database_ends_a_replay(mongo: Mongo, connection: Client, logs: Logs) -> None:
    await logs.open(*ORDERS.contexts)
    await begin(mongo, [ORDERS], limit=None, switch=False)
    # Paused, it has no transaction that would hold the wipe up.
    await change_replay(mongo, "orders", lambda replay: structs.replace(replay, state=State.PAUSED))
    worker = Worker(mongo, LogClient(connection), ORDERS)
    replaying = asyncio.create_task(worker.run(asyncio.Event()))

    async def attended() -> bool:
        return (await replay_of(mongo, "orders")).attended

    await eventually(attended)
    await mongo.drop_database()
    with pytest.raises(ReplayFailed, match="another process works on the replay of orders, or it is no more"):
        await replaying
    assert (await versions_of(mongo, "orders")).versions == ("orders",)
