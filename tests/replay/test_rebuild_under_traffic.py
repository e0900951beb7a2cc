"""Read models rebuilt and switched while orders come in over HTTP: clients notice nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.embedded import EmbeddedStack
from infra.servers import free_port
from tests.e2e.conftest import bearer
from tests.shop import Shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ORDERS_A_SECOND = 15
"""As many as two processor cores also bear that run the tests."""
REBUILT = ("orders", "stock")
HISTORY = 60
"""Orders there are before the first replay."""
COMMAND_SECONDS = 120.0


class Traffic:
    """Orders placed at a rate, each looked at with its token as soon as it is accepted."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.placed = 0
        self.seen = 0
        self.wrong: BaseException | None = None

    async def sees(self, orders: int) -> None:
        """Return when so many orders were accepted and looked at; fails with what was wrong before that."""
        while self.seen < orders:
            assert self.wrong is None, self.wrong
            await asyncio.sleep(0.05)

    async def run(self) -> None:
        """Trade until cancelled, or until an answer is not as it must be."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    group.create_task(self._order(f"traffic-{self.placed}"))
                    self.placed += 1
                    await asyncio.sleep(max(0.0, began + self.placed / ORDERS_A_SECOND - loop.time()))
        except ExceptionGroup as group_of_errors:
            self.wrong = group_of_errors.exceptions[0]

    async def _order(self, order: str) -> None:
        lines = [{"sku": "MUG", "quantity": 1}]
        body = {"order_id": order, "customer_id": "ada", "lines": lines, "payment_method": "tok_approve"}
        placed = await self._shop.http.post("/v1/orders", json=body)
        assert placed.status_code == 201, placed.text
        wait = {"Consistency-Token": placed.headers["Consistency-Token"], "Prefer": "wait=30"}
        shown = await self._shop.http.get(f"/v1/orders/{order}", headers=wait)
        assert shown.status_code == 200, shown.text
        assert shown.json()["version"] >= placed.json()["version"]
        listed = await self._shop.http.get("/v1/orders", params={"limit": 1}, headers=wait)
        assert listed.status_code == 200, listed.text
        assert listed.json()["items"]
        self.seen += 1


@asynccontextmanager
async def traffic(shop: Shop) -> AsyncIterator[Traffic]:
    """Traffic meanwhile; fails with whatever a client saw wrong."""
    made = Traffic(shop)
    running = asyncio.create_task(made.run())
    try:
        yield made
        assert made.wrong is None, made.wrong
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Operator:
    """Somebody at a terminal, who names the stack by its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def says(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        result = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "orderfold", *arguments, "--data", str(self._folder)],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert result.returncode == 0, (arguments, result.stdout, result.stderr)
        return result.stdout


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[EmbeddedStack]:
    """A running stack of its own."""
    async with EmbeddedStack(tmp_path / "data", port=free_port()) as running:
        await running.ready()
        yield running


async def test_models_are_rebuilt_switched_and_rolled_back_under_traffic(stack: EmbeddedStack) -> None:
    operator = Operator(stack.folder.root)
    async with Shop(stack.url, bearer(stack)) as shop:
        await shop.stock("MUG", 1_000_000)
        await shop.customer("ada")
        # It waits until ordering has heard of the product and the customer.
        await shop.order("first", "ada", {"MUG": 1})
        async with traffic(shop) as made:
            await made.sees(HISTORY)
            await operator.says("replay", "start", *REBUILT)
            for model in REBUILT:
                await operator.says("replay", "switch", model)
            await operator.says("replay", "rollback", "orders")
            await made.sees(made.placed)
        for model in REBUILT:
            found = json.loads(await operator.says("replay", "diff", model, "--json"))
            assert found["blue"]["checksum"] == found["green"]["checksum"]
        await operator.says("verify")
        live = {item["model"]: item for item in json.loads(await operator.says("replay", "status", "--json"))}
        assert live["orders"]["versions"][0]["role"] == "live"
        assert live["stock"]["versions"][1]["role"] == "live"
