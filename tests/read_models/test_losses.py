"""Documents and checkpoints deleted in MongoDB by hand are missed within seconds; a wiped one is refilled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from nats.aio.client import Client

from infra.event_log.client import LogClient
from infra.messages.events import partition_of
from infra.mongo import Mongo, deleting, encode_document, replacing
from infra.observability.metrics.gauges import DOCUMENTS_LOST
from read_models.monitoring.metrics import ReadModelFigures
from read_models.monitoring.verification import Verification
from read_models.projection import checkpoints
from read_models.projection.dead_letters import list_parked
from read_models.projection.documents import ReadModels
from read_models.projection.losses import MARKS, find_loss, losses_of_live
from read_models.replay.drop import drop
from read_models.replay.repair import repair
from read_models.replay.selection import Scope, select
from read_models.replay.switch import switch
from read_models.stock import STOCK
from tests.read_models import examples
from tests.read_models.logs import Logs, eventually, stored
from tests.read_models.replay.replaying import projectors, replayed
from tests.read_models.replay.versions import at_head

OTHERS = ("catalog", "customers", "ordering", "payments", "shipping", "fulfilment")

Deletion = Callable[[Mongo], Awaitable[object]]


async def one_checkpoint(mongo: Mongo) -> None:
    place = ("inventory", partition_of("MUG"))
    await mongo.write(checkpoints.CHECKPOINTS, [deleting(checkpoints.checkpoint_id("stock", place))])


async def all_checkpoints(mongo: Mongo) -> None:
    await mongo.drop(checkpoints.CHECKPOINTS)


async def one_document(mongo: Mongo) -> None:
    await mongo.write("stock", [deleting("MUG")])


async def all_documents(mongo: Mongo) -> None:
    await mongo.write("stock", [deleting(item["_id"]) for item in await mongo.find("stock", {})])


async def the_collection(mongo: Mongo) -> None:
    await mongo.drop("stock")


DELETIONS = pytest.mark.parametrize(
    "delete", [one_checkpoint, all_checkpoints, one_document, all_documents, the_collection]
)


async def received(logs: Logs) -> None:
    """Two products have stock."""
    await logs.happened(("stock-MUG", examples.received), ("stock-CUP", examples.received))


async def loss(mongo: Mongo) -> str:
    return await find_loss(mongo, "stock", STOCK.contexts)


async def remembered(mongo: Mongo) -> None:
    """Return when the projectors have seen what there is."""

    async def seen() -> bool:
        marks = await mongo.find(MARKS, {"_id": "stock"})
        documents = await mongo.count("stock", exactly=True)
        return bool(marks) and marks[0]["documents"] == documents > 0 and len(marks[0]["checkpoints"]) > 0

    await eventually(seen)


async def at_work(mongo: Mongo, logs: Logs) -> None:
    await received(logs)
    await at_head(mongo, logs, STOCK, "stock")
    await remembered(mongo)


@DELETIONS
async def test_what_is_deleted_while_the_projectors_work_is_missed_and_nothing_is_counted_twice(
    mongo: Mongo, connection: Client, logs: Logs, delete: Deletion
) -> None:
    async with projectors(connection, mongo, STOCK):
        await at_work(mongo, logs)
        before = await stored(mongo, "stock")
        await delete(mongo)

        async def missed() -> bool:
            return await loss(mongo) != ""

        await eventually(missed)
        await logs.happened(("stock-PEN", examples.received))
        told = await losses_of_live(mongo, {"stock": STOCK})
        assert "`orderfold replay start stock --switch`" in told["stock"]
        after = await stored(mongo, "stock")
        assert all(after[key] == before[key] for key in after.keys() & before.keys())


@DELETIONS
async def test_what_was_deleted_while_nothing_ran_is_missed_at_the_start(
    mongo: Mongo, connection: Client, logs: Logs, delete: Deletion
) -> None:
    async with projectors(connection, mongo, STOCK):
        await at_work(mongo, logs)
    await delete(mongo)
    left = await stored(mongo, "stock")
    await received(logs)
    async with projectors(connection, mongo, STOCK):
        assert await loss(mongo) != ""
        await logs.happened(("stock-PEN", examples.received))
        # The reader of a projector that went on would have begun with what there is.
        assert await stored(mongo, "stock") == left
    assert await loss(mongo) != ""


@DELETIONS
async def test_the_commands_that_are_told_build_it_anew(
    mongo: Mongo, connection: Client, logs: Logs, delete: Deletion
) -> None:
    async with projectors(connection, mongo, STOCK):
        await at_work(mongo, logs)
        await delete(mongo)
        await received(logs)
        await replayed(connection, mongo, STOCK)
        live = (await switch(mongo, STOCK)).live
        await at_head(mongo, logs, STOCK, live)
        assert await stored(mongo, live) == await logs.expected(STOCK)
        assert await losses_of_live(mongo, {"stock": STOCK}) == {}
        await drop(connection, mongo, STOCK, None, previous_too=True)
        assert await loss(mongo) == ""


async def test_a_wiped_database_is_filled_again_by_itself(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    async with projectors(connection, mongo, STOCK):
        await at_work(mongo, logs)
        await mongo.drop_database()
        await at_head(mongo, logs, STOCK, "stock")
        assert await stored(mongo, "stock") == await logs.expected(STOCK)
        assert await loss(mongo) == ""


async def test_a_repair_that_deletes_a_document_loses_nothing(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    """One that no event makes is deleted on purpose."""
    async with projectors(connection, mongo, STOCK):
        await at_work(mongo, logs)
        await mongo.write("stock", [replacing("GHOST", encode_document("GHOST", {"n": 1}))])
        await remembered(mongo)
        log = LogClient(connection)
        selection = await select(log, STOCK, Scope(keys=("GHOST",)))
        await repair(mongo, log, STOCK, "stock", selection)
        assert "GHOST" not in await stored(mongo, "stock")
        await remembered(mongo)
        assert await loss(mongo) == ""
        assert await list_parked(mongo, "stock") == []


async def test_a_loss_is_told_by_metrics_and_verify(mongo: Mongo, connection: Client, logs: Logs) -> None:
    await logs.open(*OTHERS)
    async with projectors(connection, mongo, STOCK):
        await at_work(mongo, logs)
    await the_collection(mongo)
    figures = ReadModelFigures(ReadModels(mongo), lambda: LogClient(connection))
    told = {sample.labels: sample.value for sample in await figures.losses()}
    assert told[("stock",)] == 1
    assert sum(told.values()) == 1
    assert {sample.figure for sample in await figures.losses()} == {DOCUMENTS_LOST}
    report = await Verification(connection, LogClient(connection), ReadModels(mongo)).run(0, lambda *_: None)
    found = [item for item in report.differences if "deleted from MongoDB" in item.what]
    assert [item.subject for item in found] == ["stock"]
    assert "`orderfold replay drop stock --yes`" in found[0].remedy
