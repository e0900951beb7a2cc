"""A full disk under MongoDB: replays fail with a line that says what to do, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from infra.embedded import mongod
from infra.embedded.mongo import MongoProgram, mongo_server
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
def disk(tmp_path: Path, mongo_program: MongoProgram) -> Iterator[SmallDisk]:
    """A disk for MongoDB alone; mongod begins with 300 MB of journal."""
    with small_disk(tmp_path / "disk", 400 if mongo_program.is_mongod else 40) as disk:
        yield disk


@pytest.fixture
def database(
    disk: SmallDisk, mongo_program: MongoProgram, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A MongoDB server that writes to its disk every second."""
    port, folder = free_port(), disk.folder / "mongo"
    if mongo_program.is_mongod:
        folder.mkdir()
        log = folder / "mongo.log"
        process = mongod.server(mongo_program.path, folder / "data", log, port, "--syncdelay", "1")
    else:
        monkeypatch.setenv("SECANTUS_CHECKPOINT_SECONDS", "1")
        process = mongo_server(folder, port, mongo_program)
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


@pytest.mark.fallback
async def test_a_full_disk_fails_what_is_under_way_and_all_of_it_goes_on_when_there_is_room(
    mongo: Mongo,
    connection: Client,
    logs: Logs,
    replay: Command,
    disk: SmallDisk,
    database: Server,
    mongo_program: MongoProgram,
) -> None:
    # mongod ends; SecantusDB lives on, and serves nobody.
    refuses = (
        "Connection refused" if mongo_program.is_mongod else "if its disk is full make room, then restart it"
    )
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
    assert refuses in failed.told
    assert "`replay resume orders` goes on where it was" in failed.told
    # Until it is restarted, whatever room there is.
    for refused in (("repair", "orders", "--order", "3"), ("switch", "orders")):
        assert refuses in (await replay(*refused)).told

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
