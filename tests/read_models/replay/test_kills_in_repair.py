"""`replay repair` and `replay dead-letters retry` killed at every moment that matters, and run again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
from nats.aio.client import Client

from infra.mongo import Mongo
from read_models import stock
from read_models.projection.dead_letter_audit import audit
from read_models.projection.dead_letters import list_parked
from read_models.projection.model import Occurrence, ReadModel
from read_models.stock import STOCK, Stock
from tests.read_models import examples
from tests.read_models.logs import Logs, stored
from tests.read_models.replay.mongo_wire import Moment
from tests.read_models.replay.versions import Command, at_head, kept_up_to_date, project_all

TWO_BATCHES = 1_010
"""SKUs: the last ten are repaired in a second transaction."""
PARKED = ("SKU3", "SKU5")
LESS_THAN_IT_IS_KEPT = 50.0
"""Seconds: the server keeps a killed command's transaction for a minute."""


def refusing(document: Stock | None, occurrence: Occurrence) -> Stock:
    """A projection with a bug: it takes no second event for some SKUs."""
    if occurrence.version == 2 and occurrence.key in PARKED:
        raise ValueError("a bug of then")
    return stock.project(document, occurrence)


def wrong(document: Stock | None, occurrence: Occurrence) -> Stock:
    """The same with another one: it counts a unit too many."""
    changed = refusing(document, occurrence)
    return msgspec.structs.replace(changed, on_hand=changed.on_hand + 1)


REFUSING = replace(STOCK, project=refusing)
WRONG = replace(STOCK, project=wrong)


async def projected(mongo: Mongo, connection: Client, logs: Logs, model: ReadModel[Any], skus: int) -> None:
    """A stock of so many SKUs, projected with bugs; three events wait for each of two SKUs."""
    await logs.happened(*((f"stock-SKU{number}", examples.received) for number in range(skus)))
    for event in (examples.received, examples.allocated, examples.received):
        await logs.happened(*((f"stock-{sku}", event) for sku in PARKED))
    await project_all(mongo, connection, logs, model, "stock")
    assert [letter.key for letter in await list_parked(mongo, "stock")] == list(PARKED)


async def written(mongo: Mongo) -> dict[str, Any]:
    """All that a repair or a retry may change, and where the projectors stand."""
    letters = await mongo.find("dead_letters", {}, sort=(("_id", 1),))
    checkpoints = await mongo.find("checkpoints", {}, sort=(("_id", 1),))
    return {
        "documents": await stored(mongo, "stock"),
        "dead letters": letters,
        "checkpoints": [(item["_id"], item["position"]) for item in checkpoints],
        "audit": await audit(mongo, "stock"),
    }


REPAIR = ("repair", "stock", "--context", "inventory")
RETRY = ("dead-letters", "retry", "stock")


async def test_a_repair_killed_at_any_moment_has_changed_all_or_nothing_and_is_done_by_the_next(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    await projected(mongo, connection, logs, WRONG, TWO_BATCHES)
    before = await written(mongo)
    for moment in (
        # All is read, nothing written.
        Moment("update projector_sessions"),
        # Within the transaction, which the server keeps.
        Moment("update stock"),
        Moment("commitTransaction", 2),
    ):
        await replay.is_killed(moment, *REPAIR)
        assert await written(mongo) == before, moment
    # Between the batches: the operator was not told of the first.
    await replay.is_killed(Moment("commitTransaction", 2, answered=True), *REPAIR)
    half = await written(mongo)
    expected = await logs.expected(STOCK)
    differing = {key for key, document in half["documents"].items() if document != expected[key]}
    assert len(differing) == TWO_BATCHES - 1_000
    assert (half["dead letters"], half["checkpoints"]) == ([], before["checkpoints"])
    report = await replay.gets_through(*REPAIR)
    assert report["comparison"]["changed"]["documents"] == len(differing)
    assert await stored(mongo, "stock") == expected
    await _goes_on(mongo, connection, logs)


async def test_a_retry_killed_at_any_moment_has_settled_a_key_or_not_and_once(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    await projected(mongo, connection, logs, REFUSING, 10)
    before = await written(mongo)
    for moment in (Moment("update stock"), Moment("commitTransaction")):
        await replay.is_killed(moment, *RETRY)
        assert await written(mongo) == before, moment
    await replay.is_killed(Moment("commitTransaction", answered=True), *RETRY)
    assert [letter.key for letter in await list_parked(mongo, "stock")] == ["SKU5"]
    (told,) = await replay.gets_through(*RETRY)
    assert (told["key"], told["applied"], told["parked"]) == ("SKU5", 3, 0)
    assert await replay.gets_through(*RETRY) == []
    assert [(entry.key, entry.applied) for entry in await audit(mongo, "stock")] == [("SKU3", 3), ("SKU5", 3)]
    assert (await written(mongo))["checkpoints"] == before["checkpoints"]
    assert await stored(mongo, "stock") == await logs.expected(STOCK)
    await _goes_on(mongo, connection, logs)


async def test_a_projector_at_work_is_not_held_up_by_the_transaction_of_a_killed_command(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    await projected(mongo, connection, logs, REFUSING, 10)
    async with kept_up_to_date(mongo, connection, STOCK, "stock"):
        await replay.is_killed(Moment("commitTransaction", 2), *REPAIR)
        await logs.happened(*((f"stock-SKU{number}", examples.received) for number in range(10)))
        async with asyncio.timeout(LESS_THAN_IT_IS_KEPT):
            await at_head(mongo, logs, STOCK, "stock")
        await replay.gets_through(*REPAIR)
        assert await list_parked(mongo, "stock") == []
    assert await stored(mongo, "stock") == await logs.expected(STOCK)


async def _goes_on(mongo: Mongo, connection: Client, logs: Logs) -> None:
    """A projector applies what comes then, as if nothing had been."""
    await logs.happened(*((f"stock-SKU{number}", examples.received) for number in range(10)))
    await project_all(mongo, connection, logs, STOCK, "stock")
    assert await stored(mongo, "stock") == await logs.expected(STOCK)
    assert await list_parked(mongo, "stock") == []
