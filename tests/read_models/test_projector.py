"""The projector on real servers: every event counts once, whoever dies, competes or disappears."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from nats.aio.client import Client

from infra.mongo import Mongo, Session, encode_document, replacing
from infra.nats.connection import connect
from infra.settings import Settings
from read_models.orders import ORDERS
from read_models.projection.sessions import ProjectorSessions
from read_models.sales import SALES
from read_models.stock import STOCK
from tests.conftest import Server
from tests.read_models import examples
from tests.read_models.logs import Logs, caught_up, eventually, projecting, stored
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.subprocesses import end

pytestmark = pytest.mark.fallback

ROOT = Path(__file__).parents[2]


async def sell(logs: Logs, first: int, last: int) -> None:
    """Orders that each add two units to the sales: applied twice or not at all, the sum would show it."""
    orders = [str(number) for number in range(first, last)]
    await logs.happened(*((f"order-{order}", examples.placed(order)) for order in orders))
    await logs.happened(*((f"order-{order}", examples.confirmed(order)) for order in orders))


async def sold(mongo: Mongo) -> tuple[int, int]:
    """Orders and units in the sales."""
    days = await mongo.find("sales", {})
    return sum(day["orders"] for day in days), sum(day["units"] for day in days)


async def test_documents_are_what_the_logs_say(mongo: Mongo, connection: Client, logs: Logs) -> None:
    await logs.open(*ORDERS.contexts)
    async with projecting(mongo, connection, ORDERS):
        await logs.happened(("order-42", examples.placed()), ("payment-42", examples.authorized))
        await logs.happened(("order-42", examples.confirmed()), ("shipment-42", examples.parcel_created))
        await caught_up(mongo, logs, ORDERS)
        await logs.happened(("payment-42", examples.captured), ("order-43", examples.placed("43")))
        await caught_up(mongo, logs, ORDERS)
    assert await stored(mongo, "orders") == await logs.expected(ORDERS)
    assert set(await stored(mongo, "orders")) == {"42", "43"}


async def test_a_projector_that_stopped_goes_on_where_it_was(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await sell(logs, 0, 20)
    async with projecting(mongo, connection, SALES) as first:
        await caught_up(mongo, logs, SALES)
    await sell(logs, 20, 50)
    async with projecting(mongo, connection, SALES) as second:
        await caught_up(mongo, logs, SALES)
    assert (first.events, second.events) == (40, 60)
    assert await sold(mongo) == (50, 100)


async def test_events_count_once_however_often_the_process_is_killed(
    mongo: Mongo, mongo_url: str, mongo_database: str, nats: Server, logs: Logs
) -> None:
    environment = {
        **os.environ,
        "ORDERFOLD_NATS_URL": nats.url,
        "ORDERFOLD_MONGO_URL": mongo_url,
        "ORDERFOLD_MONGO_DATABASE": mongo_database,
    }

    async def moved() -> int:
        return sum(item["position"] for item in await mongo.find("checkpoints", {}))

    for begin in (0, 1000, 2000):
        await sell(logs, begin, begin + 1000)
        before = await moved()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "read_models", "run", "sales", cwd=ROOT, env=environment
        )

        async def further(before: int = before) -> bool:
            return await moved() > before

        try:
            await eventually(further)
        finally:
            await end(process)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "read_models", "run", "sales", cwd=ROOT, env=environment
    )
    try:
        await caught_up(mongo, logs, SALES)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), HOLDS_SECONDS) == 0
    finally:
        await end(process)
    assert await sold(mongo) == (3000, 6000)
    assert await stored(mongo, "sales") == await logs.expected(SALES)


async def test_two_projectors_of_the_same_partitions_do_not_apply_twice(
    mongo: Mongo, connection: Client, nats: Server, logs: Logs
) -> None:
    other = await connect(Settings(nats_url=nats.url), "other")
    try:
        async with projecting(mongo, connection, SALES), projecting(mongo, other, SALES):
            for begin in range(0, 1000, 100):
                await sell(logs, begin, begin + 100)
            await caught_up(mongo, logs, SALES)
    finally:
        await other.close()
    assert await sold(mongo) == (1000, 2000)


async def test_two_projectors_share_the_partitions(
    mongo: Mongo, connection: Client, nats: Server, logs: Logs
) -> None:
    other = await connect(Settings(nats_url=nats.url), "other")
    try:
        async with (
            projecting(mongo, connection, SALES, range(8)) as low,
            projecting(mongo, other, SALES, range(8, 16)) as high,
        ):
            await sell(logs, 0, 300)
            await caught_up(mongo, logs, SALES)
    finally:
        await other.close()
    assert low.events
    assert high.events
    assert low.events + high.events == 600
    assert await sold(mongo) == (300, 600)


async def test_a_database_dropped_under_it_is_rebuilt_byte_for_byte(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    """Nothing happens meanwhile: the projector has to notice by itself."""
    await logs.happened(("stock-MUG", examples.received), ("stock-MUG", examples.allocated))
    await logs.happened(("stock-CUP", examples.received))
    async with projecting(mongo, connection, STOCK):
        await caught_up(mongo, logs, STOCK)
        before = await stored(mongo, "stock")
        await mongo.drop_database()
        await caught_up(mongo, logs, STOCK)
    assert len(before) == 2
    assert await stored(mongo, "stock") == before


async def test_a_database_dropped_in_the_middle_of_work_is_rebuilt(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    async with projecting(mongo, connection, SALES):
        await sell(logs, 0, 200)
        await caught_up(mongo, logs, SALES)
        await mongo.drop_database()
        await sell(logs, 200, 300)
        await caught_up(mongo, logs, SALES)
    assert await sold(mongo) == (300, 600)


async def test_a_document_survives_the_cache_of_another_projector(
    mongo: Mongo, connection: Client, nats: Server, logs: Logs
) -> None:
    """Taking turns, each projector meets documents the other one changed since."""
    other = await connect(Settings(nats_url=nats.url), "other")
    try:
        async with projecting(mongo, connection, STOCK), projecting(mongo, other, STOCK):
            for _ in range(20):
                await logs.happened(("stock-MUG", examples.received))
                await caught_up(mongo, logs, STOCK)
    finally:
        await other.close()
    (document,) = await mongo.find("stock", {})
    assert (document["on_hand"], document["version"]) == (200, 20)


async def left_open(mongo: Mongo) -> Session:
    """What a projector that was killed in the middle leaves on the server: a transaction nobody will end."""
    session = await mongo.open_session()
    await ProjectorSessions(mongo, "stock", range(16)).enter(session)
    transaction = session.transaction()
    await transaction.__aenter__()
    for partition in range(16):
        key = f"stock/inventory/{partition}"
        await transaction.write("checkpoints", [replacing(key, encode_document(key, {"position": -1}))])
    return session


async def test_a_dead_projectors_transaction_blocks_nobody_who_starts(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.happened(("stock-MUG", examples.received))
    dead = await left_open(mongo)
    async with projecting(mongo, connection, STOCK) as projector:
        await caught_up(mongo, logs, STOCK)
    assert projector.restarts == 0
    assert await mongo.find("projector_sessions", {}) == []
    await dead.close()


async def test_a_projector_that_stands_by_takes_over_from_a_dead_one(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    """Long before the server gives up the dead one's transaction, which is after a minute."""
    await logs.happened(("stock-MUG", examples.received))
    async with projecting(mongo, connection, STOCK) as projector:
        await caught_up(mongo, logs, STOCK)
        dead = await left_open(mongo)
        await logs.happened(("stock-MUG", examples.received))
        await caught_up(mongo, logs, STOCK)
    assert projector.restarts
    (document,) = await mongo.find("stock", {})
    assert document["on_hand"] == 20
    await dead.close()
