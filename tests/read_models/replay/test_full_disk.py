"""A full disk under MongoDB: replays fail with a line that says what to do, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from infra.embedded.servers import mongo_server
from infra.mongo import Mongo, updating
from infra.settings import Settings
from infra.sockets import free_port
from read_models.orders import ORDERS
from read_models.projection.versions import versions_of
from read_models.replay.state import find_replay
from tests.conftest import Server
from tests.read_models.logs import Logs, eventually, stored
from tests.read_models.replay.replaying import lives
from tests.read_models.replay.small_disk import SmallDisk, small_disk
from tests.read_models.replay.versions import Command, project_all

DATABASE = "full"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk for MongoDB alone."""
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def database(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A MongoDB server that writes to its disk every second."""
    monkeypatch.setenv("SECANTUS_CHECKPOINT_SECONDS", "1")
    process = mongo_server(disk.folder / "mongo", port := free_port())
    process.start()
    yield Server(process, f"mongodb://127.0.0.1:{port}")
    process.kill()


@pytest.fixture
def mongo(database: Server) -> Iterator[Mongo]:
    """Its read models."""
    mongo = Mongo(Settings(mongo_url=database.url, mongo_database=DATABASE))
    yield mongo
    mongo.close()


@pytest.fixture
def replay(nats: Server, database: Server) -> Command:
    """`replay` commands, of which a replay gives up soon."""
    return Command(nats.url, database.url, DATABASE, {"ORDERFOLD_REPLAY_PATIENCE": "5"})


async def test_a_full_disk_fails_what_is_under_way_and_all_of_it_goes_on_when_there_is_room(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command, disk: SmallDisk, database: Server
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 200))
    await project_all(mongo, connection, logs, ORDERS, "orders")
    await mongo.write("orders", [updating({"_id": "3"}, {"currency": "USD"})])
    live = await stored(mongo, "orders")
    building = await replay.begin("start", "orders", "--rate", "50")
    await eventually(lambda: _half_way(mongo))
    disk.fill(database.process)
    failed = await replay.ends(building)
    assert failed.told.startswith("orderfold: the replay of orders failed: MongoDB: ")
    assert "if its disk is full make room, then restart it" in failed.told
    assert "`replay resume orders` goes on where it was" in failed.told
    # It serves nobody until it is restarted, whatever room there is.
    for refused in (("repair", "orders", "--order", "3"), ("switch", "orders")):
        assert "if its disk is full make room, then restart it" in (await replay(*refused)).told

    database.process.kill()
    disk.empty()
    database.process.start()
    assert await stored(mongo, "orders") == live
    assert "orders@2 is not ready" in (await replay("switch", "orders")).told
    assert (await replay("repair", "orders", "--order", "3")).status == 0
    expected = await logs.expected(ORDERS)
    assert await stored(mongo, "orders") == expected
    resumed = await replay("resume", "orders", "--rate", "100000")
    assert "orders@2 is ready" in resumed.out
    assert await stored(mongo, "orders@2") == expected
    assert (await versions_of(mongo, "orders")).live == "orders"
    assert (await replay("switch", "orders")).status == 0
    assert (await versions_of(mongo, "orders")).live == "orders@2"


async def _half_way(mongo: Mongo) -> bool:
    replay = await find_replay(mongo, "orders")
    return replay is not None and replay.done > 100
