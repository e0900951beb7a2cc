"""A context's database in PostgreSQL restored from an older backup: the same commands mend it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from contexts import NAMES as CONTEXTS
from infra.embedded.servers import ServerFailed
from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.cli.conftest import command, environment
from tests.support.deadlines import COMMAND_SECONDS, whole_run
from tests.support.postgres_server import fresh_database, postgres_server
from tests.support.shop import Shop
from tests.system.e2e.commands import orderfold
from tests.system.e2e.conftest import bearer

pytestmark = [pytest.mark.slow, whole_run]


@pytest.fixture
def server() -> Iterator[str]:
    """A server with a database per context; its address."""
    with postgres_server() as url:
        for context in CONTEXTS:
            fresh_database(url, f"of_{context}")
        yield url


def execute(url: str, *statements: str) -> None:
    """Run statements that no transaction may hold."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def restore(folder: Path, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("restore", what, "--data", str(folder)),
        capture_output=True,
        check=False,
        text=True,
        env={**environment(), "PATH": os.environ["PATH"]},
        timeout=COMMAND_SECONDS,
    )


async def test_what_the_stream_still_has_is_put_back(server: str, tmp_path: Path) -> None:
    environ = {"ORDERFOLD_STORE": server.rpartition("/")[0] + "/of_{context}"}

    def stack_on_postgresql() -> EmbeddedStack:
        return EmbeddedStack(tmp_path / "data", port=free_port(), environ=environ)

    async with stack_on_postgresql() as stack, Shop(stack.url, bearer(stack)) as shop:
        await shop.stock("MUG", 100)
        await shop.customer("ada")
    backup = "CREATE DATABASE of_ordering_before TEMPLATE of_ordering"
    await asyncio.to_thread(execute, server, backup)
    async with stack_on_postgresql() as stack, Shop(stack.url, bearer(stack)) as shop:
        for order_id in ("one", "two"):
            await shop.order(order_id, "ada", {"MUG": 1})
            await shop.stage_becomes(order_id, "awaiting-dispatch")
    await asyncio.to_thread(
        execute,
        server,
        "DROP DATABASE of_ordering",
        "ALTER DATABASE of_ordering_before RENAME TO of_ordering",
    )
    with pytest.raises(ServerFailed, match="`orderfold restore check`"):
        async with stack_on_postgresql():
            pass
    found = await asyncio.to_thread(restore, tmp_path / "data", "check")
    assert (found.returncode, "they are put back" in found.stdout) == (1, True), found.stdout + found.stderr
    done = await asyncio.to_thread(restore, tmp_path / "data", "apply")
    assert done.returncode == 0, done.stdout + done.stderr
    async with stack_on_postgresql() as stack, Shop(stack.url, bearer(stack)) as shop:
        assert "clean: " in await orderfold(stack, "verify", "--wait", "120")
        await shop.order("three", "ada", {"MUG": 1})
        await shop.stage_becomes("three", "awaiting-dispatch")
        assert (await shop.get("/v1/orders/one"))["status"] == "confirmed"
