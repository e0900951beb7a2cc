"""Queries go over to a rebuilt version at once, and back: nobody sees an error or an answer from before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from infra.messages.commands import Token
from infra.messages.events import PARTITIONS
from infra.mongo import Mongo, updating
from read_models import orders
from read_models.orders import ORDERS
from read_models.projection.documents import ReadModels
from read_models.projection.versions import Versions, versions_of
from read_models.queries.consistency import up_to
from read_models.replay.drop import drop
from read_models.replay.errors import ReplayFailed
from read_models.replay.start import begin
from read_models.replay.state import State, find_replay
from read_models.replay.switch import rollback, switch
from tests.read_models import examples
from tests.read_models.logs import Logs, caught_up, eventually, stored
from tests.read_models.replay.replaying import lives, projectors, replayed


async def place(logs: Logs, order: str) -> Token:
    """Place an order; the token of what happened."""
    before = await logs.heads(ORDERS)
    await logs.happened((f"order-{order}", examples.placed(order)))
    after = await logs.heads(ORDERS)
    ((context, partition), position) = (after.items() - before.items()).pop()
    return Token(context, position, partition)


class Shop:
    """Clients of one gateway, that place orders and look at each of them with its token."""

    def __init__(self, logs: Logs, models: ReadModels) -> None:
        self._logs = logs
        self._models = models
        self.seen: dict[str, int] = {}
        self.orders = 0

    async def trade(self) -> None:
        while True:
            order = f"new{self.orders}"
            token = await place(self._logs, order)
            models = await up_to(self._models, "orders", [token], 10)
            assert await orders.get(models, order) is not None, f"{order} is missing after its token"
            collection = await models.live("orders")
            self.seen[collection] = self.seen.get(collection, 0) + 1
            self.orders += 1

    async def sees(self, collection: str, orders: int = 5) -> None:
        """Return when clients have been answered from a version several times more."""
        wanted = self.seen.get(collection, 0) + orders

        async def enough() -> bool:
            return self.seen.get(collection, 0) >= wanted

        await eventually(enough)


@asynccontextmanager
async def trading(logs: Logs, models: ReadModels) -> AsyncIterator[Shop]:
    """Trade meanwhile; fails with what a client saw wrong."""
    shop = Shop(logs, models)
    work = asyncio.create_task(shop.trade())
    try:
        yield shop
        assert not work.done(), work.exception()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_clients_notice_neither_switch_nor_rollback_nor_drop(
    mongo: Mongo, models: ReadModels, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 30))
    async with projectors(connection, mongo, ORDERS), trading(logs, models) as shop:
        await shop.sees("orders")
        await replayed(connection, mongo, ORDERS)
        await switch(mongo, ORDERS)
        await shop.sees("orders@2")
        await rollback(mongo, ORDERS)
        await shop.sees("orders")
        await rollback(mongo, ORDERS)
        await shop.sees("orders@2")
        await drop(connection, mongo, ORDERS, None, previous_too=True)
        await shop.sees("orders@2")
    assert await versions_of(mongo, "orders") == Versions(
        model="orders",
        live="orders@2",
        previous=None,
        versions=("orders@2",),
        next=3,
        switched_at=(await versions_of(mongo, "orders")).switched_at,
    )


async def test_a_query_reads_the_version_whose_checkpoints_it_waited_for(
    mongo: Mongo, models: ReadModels, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    async with projectors(connection, mongo, ORDERS):
        token = await place(logs, "42")
        waited = await up_to(models, "orders", [token], 10)
        await replayed(connection, mongo, ORDERS)
        await switch(mongo, ORDERS)

        async def switched() -> bool:
            return await models.live("orders") == "orders@2"

        await eventually(switched)
        assert await waited.live("orders") == "orders"


async def test_whoever_asks_first_waits_until_it_is_known_what_is_live(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    async with projectors(connection, mongo, ORDERS):
        await replayed(connection, mongo, ORDERS)
        await switch(mongo, ORDERS)
    models = ReadModels(mongo)
    assert set(await asyncio.gather(*(models.live("orders") for _ in range(5)))) == {"orders@2"}


async def test_a_version_that_nobody_keeps_up_to_date_is_not_switched_to(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 5))
    await replayed(connection, mongo, ORDERS)
    async with projectors(connection, mongo, ORDERS):
        await caught_up(mongo, logs, ORDERS)
        await caught_up(mongo, logs, ORDERS, "orders@2")
    await _set_back(mongo, "orders@2")
    with pytest.raises(ReplayFailed, match=r"orders@2 is behind orders by about .* nothing was switched"):
        await switch(mongo, ORDERS, wait=0.2)
    assert (await versions_of(mongo, "orders")).live == "orders"


async def _set_back(mongo: Mongo, collection: str) -> None:
    """Let a version stand where nothing has happened yet."""
    ids = [
        f"{collection}/{context}/{partition}"
        for context in ORDERS.contexts
        for partition in range(PARTITIONS)
    ]
    for item in await mongo.find("checkpoints", {"_id": {"$in": ids}}):
        await mongo.write("checkpoints", [updating({"_id": item["_id"]}, {"position": 0})])


async def test_there_must_be_a_version_to_go_to(mongo: Mongo, connection: Client, logs: Logs) -> None:
    with pytest.raises(ReplayFailed, match="no new version of orders to switch to"):
        await switch(mongo, ORDERS)
    with pytest.raises(ReplayFailed, match="no version of orders to go back to"):
        await rollback(mongo, ORDERS)
    await begin(mongo, [ORDERS], limit=None, switch=False)
    with pytest.raises(ReplayFailed, match="orders@2 is not ready: its replay is waiting at 0 of 0"):
        await switch(mongo, ORDERS)


async def test_what_queries_or_a_rollback_read_is_not_dropped(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 5))
    with pytest.raises(ReplayFailed, match="orders is the only version"):
        await drop(connection, mongo, ORDERS, None, previous_too=False)
    async with projectors(connection, mongo, ORDERS):
        await replayed(connection, mongo, ORDERS)
        with pytest.raises(ReplayFailed, match="orders is live"):
            await drop(connection, mongo, ORDERS, "orders", previous_too=True)
        with pytest.raises(ReplayFailed, match="unknown version orders@9"):
            await drop(connection, mongo, ORDERS, "orders@9", previous_too=True)
        await switch(mongo, ORDERS)
        with pytest.raises(ReplayFailed, match="rollback orders` would go back to"):
            await drop(connection, mongo, ORDERS, None, previous_too=False)
        await rollback(mongo, ORDERS)
        assert await drop(connection, mongo, ORDERS, "orders@2", previous_too=True) == "orders@2"
        assert await _left_of(mongo, "orders@2") == []
        assert await stored(mongo, "orders") == await logs.expected(ORDERS)
    replay = await find_replay(mongo, "orders")
    assert replay is not None
    assert replay.state is State.DROPPED


async def _left_of(mongo: Mongo, collection: str) -> list[str]:
    """What there still is of a version."""
    places = await mongo.find("checkpoints", {})
    documents = await stored(mongo, collection)
    return [*documents, *(item["_id"] for item in places if item["_id"].startswith(f"{collection}/"))]
