"""The same system on PostgreSQL, with a second process of every context standing by."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contexts import NAMES as CONTEXTS
from infra.embedded.servers import Process
from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.support.postgres_server import fresh_database, postgres_server
from tests.support.shop import Shop
from tests.system.e2e.conftest import bearer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stores() -> Iterator[str]:
    """A database per context; yields the setting that names them all."""
    with postgres_server() as url:
        for context in CONTEXTS:
            fresh_database(url, f"of_{context}")
        yield url.rpartition("/")[0] + "/of_{context}"


@pytest.fixture
async def stack(tmp_path: Path, stores: str) -> AsyncIterator[EmbeddedStack]:
    """A stack whose stores are in PostgreSQL."""
    environ = {"ORDERFOLD_STORE": stores}
    async with EmbeddedStack(tmp_path / "data", port=free_port(), environ=environ) as running:
        yield running


@contextmanager
def replica(stack: EmbeddedStack, folder: Path) -> Iterator[Process]:
    """A second process of every context."""
    command = [sys.executable, "-P", "-m", "contexts"]
    process = Process("replica", command, folder / "replica.log", lambda: True, env=stack.environment)
    process.start()
    try:
        yield process
    finally:
        process.stop()


async def test_a_replica_takes_over_when_the_leader_is_killed(stack: EmbeddedStack, tmp_path: Path) -> None:
    """Both serve commands; the one that led is killed in the middle, and every order is confirmed."""
    async with Shop(stack.url, bearer(stack)) as shop:
        await shop.stock("PG-MUG", 1000)
        await shop.customer("pg")
        with replica(stack, tmp_path):

            async def place(number: int) -> None:
                while True:
                    answer = await shop.post(
                        "/v1/orders",
                        {
                            "order_id": f"pg-{number}",
                            "customer_id": "pg",
                            "lines": [{"sku": "PG-MUG", "quantity": 2}],
                            "payment_method": "tok_approve",
                        },
                    )
                    if answer.status_code in {200, 201}:
                        return
                    # What the killed process was at is unavailable, and is sent again.
                    assert answer.status_code == 503, answer.text

            await place(0)
            first = [asyncio.create_task(place(number)) for number in range(1, 50)]
            await shop.order_becomes("pg-0", "confirmed")
            stack.hold("contexts")
            await asyncio.gather(*first, *(place(number) for number in range(50, 100)))
            for number in range(100):
                await shop.order_becomes(f"pg-{number}", "confirmed")
            await stack.release("contexts")
        await shop.stock_becomes("PG-MUG", on_hand=1000, reserved=200)
