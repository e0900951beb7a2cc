"""A MongoDB folder that cannot be opened any more is set aside, and the read models are rebuilt."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.embedded.mongo import STAND_IN
from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.support.shop import Shop, eventually
from tests.system.e2e.conftest import bearer

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("program", "file"),
    [("", "storage.bson"), (STAND_IN, "WiredTiger.turtle")],
    ids=["mongod", STAND_IN],
)
async def test_documents_come_back_from_the_stores(tmp_path: Path, program: str, file: str) -> None:
    """Nobody has to do anything, and the operator is told."""
    said: list[str] = []
    environ = {"ORDERFOLD_MONGOD": program}
    async with (
        EmbeddedStack(tmp_path / "data", port=free_port(), environ=environ, say=said.append) as stack,
        Shop(stack.url, bearer(stack)) as shop,
    ):
        await shop.stock("SALVAGE-MUG", 5)
        before = await shop.get("/v1/stock/SALVAGE-MUG")
        stack.hold("mongo")
        (stack.mongo_folder / stack.mongo.data / file).write_bytes(b"")
        await stack.release("mongo")

        async def status() -> int:
            return (await shop.look("/v1/stock/SALVAGE-MUG")).status_code

        await eventually(status, lambda status: status == 200, "the document is back")
        assert await shop.get("/v1/stock/SALVAGE-MUG") == before
    assert any("set aside" in line for line in said)
    assert (stack.mongo_folder / "unusable" / stack.mongo.data).is_dir()
