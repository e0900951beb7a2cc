"""A MongoDB folder that cannot be opened any more is set aside, and the read models are rebuilt."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.support.shop import Shop, eventually
from tests.system.e2e.conftest import bearer

pytestmark = pytest.mark.slow


async def test_documents_come_back_from_the_stores(tmp_path: Path) -> None:
    """Nobody has to do anything, and the operator is told."""
    said: list[str] = []
    async with (
        EmbeddedStack(tmp_path / "data", port=free_port(), say=said.append) as stack,
        Shop(stack.url, bearer(stack)) as shop,
    ):
        await shop.stock("SALVAGE-MUG", 5)
        before = await shop.get("/v1/stock/SALVAGE-MUG")
        stack.hold("mongo")
        (stack.folder.root / "mongo" / "data" / "WiredTiger.turtle").write_bytes(b"")
        await stack.release("mongo")

        async def status() -> int:
            return (await shop.look("/v1/stock/SALVAGE-MUG")).status_code

        await eventually(status, lambda status: status == 200, "the document is back")
        assert await shop.get("/v1/stock/SALVAGE-MUG") == before
    assert any("set aside" in line for line in said)
    assert (stack.folder.root / "mongo" / "unusable" / "data").is_dir()
