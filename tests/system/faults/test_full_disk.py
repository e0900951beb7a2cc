"""A full disk under the embedded MongoDB: it is restarted when there is room, with all it had."""

from __future__ import annotations

import asyncio
import resource
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from infra.embedded.mongo import STAND_IN, mongo_program, mongo_server
from infra.embedded.secantusdb import restart_when_broken
from infra.embedded.stack import EmbeddedStack
from infra.mongo import Mongo, MongoUnavailable, encode_document, replacing
from infra.settings import Settings
from infra.sockets import free_port
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.shop import Shop, eventually
from tests.system.e2e.conftest import bearer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "told"),
    [("", "mongo ended (signal 25); restarting it"), (STAND_IN, "restart it")],
    ids=["mongod", STAND_IN],
)
async def test_a_stack_whose_database_could_not_write_serves_again_by_itself(
    tmp_path: Path, program: str, told: str
) -> None:
    said: list[str] = []
    environ = {"ORDERFOLD_MONGOD": program}
    async with (
        EmbeddedStack(tmp_path / "data", port=free_port(), environ=environ, say=said.append) as stack,
        Shop(stack.url, bearer(stack)) as shop,
    ):
        await shop.stock("SALVAGE-MUG", 5)
        before = await shop.get("/v1/stock/SALVAGE-MUG")
        mongo = Mongo(stack.settings)
        # Only what operators decide is not rebuilt from the stores.
        await mongo.write("dead_letter_audit", [replacing("1", encode_document("1", {"action": "skip"}))])
        killed = stack.pids["mongo"]
        resource.prlimit(killed, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        # What is restarted fast enough has done it when the driver tries again.
        with suppress(MongoUnavailable):
            await mongo.write("checkpoints", [replacing("x", encode_document("x", {}))])

        async def status() -> int:
            restarted = stack.pids["mongo"] != killed
            return (await shop.look("/v1/stock/SALVAGE-MUG")).status_code if restarted else 0

        await eventually(status, lambda status: status == 200, "the document is back")
        assert await shop.get("/v1/stock/SALVAGE-MUG") == before
        assert [item["_id"] for item in await mongo.find("dead_letter_audit", {})] == ["1"]
        mongo.close()
    assert not (stack.mongo_folder / "unusable").exists()
    assert any(told in line for line in said)


async def test_a_broken_database_is_left_alone_until_there_is_room(tmp_path: Path) -> None:
    """SecantusDB could not start, and who keeps it alive would give up."""
    process = mongo_server(tmp_path, port := free_port(), mongo_program(STAND_IN))
    process.start()
    settings = Settings(mongo_url=f"mongodb://127.0.0.1:{port}", mongo_database="full")
    mongo = Mongo(settings)
    said: asyncio.Queue[str] = asyncio.Queue()
    restarted = asyncio.Event()
    more_than_there_is = 2 * shutil.disk_usage(tmp_path).total
    full, roomy = (
        restart_when_broken(settings, tmp_path, restarted.set, said.put_nowait, room=room)
        for room in (more_than_there_is, 0)
    )
    watching = [asyncio.create_task(full)]
    try:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        with pytest.raises(MongoUnavailable, match="if its disk is full make room, then restart it"):
            await mongo.write("some", [replacing("1", encode_document("1", {}))])
        async with asyncio.timeout(HOLDS_SECONDS):
            assert (await said.get()).endswith("is full: make room, then mongo is restarted")
            assert not restarted.is_set()
            watching.append(asyncio.create_task(roomy))
            await restarted.wait()
    finally:
        for task in watching:
            task.cancel()
        mongo.close()
        process.kill()
