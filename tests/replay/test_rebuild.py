"""A read model rebuilt beside the live one is the same, byte for byte, whatever happens meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client

from infra.mongo import Mongo
from read_models.catalogue import MODELS
from read_models.orders import ORDERS
from read_models.replay.records import State
from read_models.versions import versions_of
from tests.read_models.logs import Logs, caught_up, stored
from tests.replay.replaying import lives, projectors, replayed, shop_opened


@pytest.mark.parametrize("source", ["stores", "jetstream"])
async def test_every_model_is_rebuilt_the_same_from_the_stores_and_from_jetstream(
    mongo: Mongo, connection: Client, logs: Logs, source: str
) -> None:
    contexts = {context for model in MODELS.values() for context in model.contexts}
    await logs.open(*contexts)
    await logs.happened(*shop_opened(), *lives(0, 20))
    for model in MODELS.values():
        replay = await replayed(connection, mongo, model, source=source, batch=17)
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
