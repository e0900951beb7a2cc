"""`replay switch` and what else changes which version is read, killed in the middle and given again."""

from __future__ import annotations

from nats.aio.client import Client

from infra.mongo import Mongo
from read_models.projection.versions import versions_of
from read_models.replay.state import State, replay_of
from read_models.stock import STOCK
from tests.read_models.logs import Logs
from tests.read_models.replay.mongo_wire import Moment
from tests.read_models.replay.replaying import replayed, shop_opened
from tests.read_models.replay.versions import Command, project_all


async def standing(mongo: Mongo) -> tuple[str, State]:
    """What queries of stock read, and where its replay stands."""
    return (await versions_of(mongo, "stock")).live, (await replay_of(mongo, "stock")).state


async def test_a_killed_switch_is_made_or_not_and_in_nobodys_way(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    """The server keeps the transaction of a killed one for a minute."""
    await logs.happened(*shop_opened())
    await project_all(mongo, connection, logs, STOCK, "stock")
    await replayed(connection, mongo, STOCK)
    await replay.is_killed(Moment("commitTransaction"), "switch", "stock")
    assert await standing(mongo) == ("stock", State.READY)
    done = await replay("switch", "stock")
    assert (done.status, done.err) == (0, "")
    assert await standing(mongo) == ("stock@2", State.SWITCHED)
    await replay.is_killed(Moment("commitTransaction", answered=True), "rollback", "stock")
    assert (await versions_of(mongo, "stock")).live == "stock"
    assert (await replay("rollback", "stock")).status == 0
    assert (await versions_of(mongo, "stock")).live == "stock@2"


async def test_a_replay_killed_within_its_transaction_is_cancelled_at_once(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    """Its documents cannot be deleted while the server keeps the transaction."""
    await logs.happened(*shop_opened())
    await replay.is_killed(Moment("update stock@2", answered=True), "start", "stock", "--rate", "4")
    cancelled = await replay("cancel", "stock")
    assert (cancelled.status, cancelled.err) == (0, "")
    assert await standing(mongo) == ("stock", State.CANCELLED)
    for collection in ("stock@2", "checkpoints", "dead_letters"):
        assert await mongo.find(collection, {}) == []
