"""Waiting for a position: as long as it takes, not longer than allowed, and together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nats.aio.client import Client

from infra.messages.commands import Token
from infra.mongo import Mongo, MongoUnavailable, encode_document, replacing
from infra.settings import Settings
from infra.sockets import free_port
from read_models import orders
from read_models.orders import ORDERS
from read_models.projection.documents import ReadModels
from read_models.queries.consistency import Behind, up_to
from tests.read_models import examples
from tests.read_models.logs import Logs, projecting

pytestmark = pytest.mark.fallback


async def stand_at(mongo: Mongo, context: str, partition: int, position: int) -> None:
    """Put the orders' checkpoint somewhere."""
    key = f"orders/{context}/{partition}"
    fields = {"position": position, "sequence": 0, "sequence_position": 0, "created": ""}
    await mongo.write("checkpoints", [replacing(key, encode_document(key, fields))])


async def test_what_is_projected_is_not_waited_for(mongo: Mongo, models: ReadModels) -> None:
    await stand_at(mongo, "ordering", 3, 10)
    await up_to(models, "orders", [Token("ordering", 10, 3), Token("ordering", 9, 3)], 0)


async def test_what_is_not_projected_in_time_is_refused(mongo: Mongo, models: ReadModels) -> None:
    await stand_at(mongo, "ordering", 3, 10)
    with pytest.raises(Behind) as refused:
        await up_to(models, "orders", [Token("ordering", 10, 3), Token("ordering", 11, 3)], 0.1)
    assert (refused.value.model, refused.value.token) == ("orders", Token("ordering", 11, 3))


async def test_another_partitions_progress_is_none(mongo: Mongo, models: ReadModels) -> None:
    await stand_at(mongo, "ordering", 3, 10)
    with pytest.raises(Behind):
        await up_to(models, "orders", [Token("ordering", 1, 4)], 0.1)


async def test_contexts_that_do_not_feed_the_model_are_not_waited_for(models: ReadModels) -> None:
    await up_to(models, "orders", [Token("catalog", 99, 0)], 0)


async def test_waiting_ends_as_soon_as_it_is_projected(mongo: Mongo, models: ReadModels) -> None:
    waiting = [
        asyncio.create_task(up_to(models, "orders", [Token("ordering", position, 3)], 20))
        for position in range(1, 101)
    ]
    await stand_at(mongo, "ordering", 3, 50)
    await asyncio.gather(*waiting[:50])
    assert not any(task.done() for task in waiting[50:])
    await stand_at(mongo, "ordering", 3, 100)
    await asyncio.gather(*waiting[50:])


async def test_many_who_wait_share_their_looks_at_the_checkpoints(
    mongo: Mongo, models: ReadModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    find = Mongo.find

    async def counted(self: Mongo, collection: str, *arguments: Any, **options: Any) -> Any:
        nonlocal looks
        looks += collection == "checkpoints"
        return await find(self, collection, *arguments, **options)

    monkeypatch.setattr(Mongo, "find", counted)
    await stand_at(mongo, "ordering", 3, 10)
    await asyncio.gather(*(up_to(models, "orders", [Token("ordering", 10, 3)], 5) for _ in range(200)))
    assert 0 < looks < 5


async def test_a_caller_who_gives_up_disturbs_nobody(mongo: Mongo, models: ReadModels) -> None:
    gone = asyncio.create_task(up_to(models, "orders", [Token("ordering", 10, 3)], 20))
    stays = asyncio.create_task(up_to(models, "orders", [Token("ordering", 10, 3)], 20))
    await asyncio.sleep(0)
    gone.cancel()
    await stand_at(mongo, "ordering", 3, 10)
    await stays
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_document_read_after_waiting_includes_the_event(
    mongo: Mongo, models: ReadModels, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    async with projecting(mongo, connection, ORDERS):
        for number in range(20):
            await logs.happened((f"order-{number}", examples.placed(str(number))))
            heads = await logs.heads(ORDERS)
            (context, partition), position = max(heads.items(), key=lambda item: item[1])
            await up_to(models, "orders", [Token(context, position, partition)], 10)
            assert await orders.get(models, str(number)) is not None


async def test_a_missing_server_is_told_in_one_line() -> None:
    mongo = Mongo(Settings(mongo_url=f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=100"))
    try:
        with pytest.raises(MongoUnavailable) as told:
            await up_to(ReadModels(mongo), "orders", [Token("ordering", 1, 0)], 10)
        assert "\n" not in str(told.value)
        assert len(str(told.value)) < 200
    finally:
        mongo.close()
