"""A nats-server that is paused, not dead: nobody waits longer than told to, and all goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from contexts.catalog.commands import AddProduct
from infra.deploy.nats_keys import seed_file
from infra.embedded.servers import Process
from infra.messages.commands import Accepted, Answer, Envelope, RefusalKind, Refused
from infra.nats.connection import connect
from infra.runtime.command_client import CommandClient
from tests.infra.nats.server import GuardedServer
from tests.support.deadlines import HOLDS_SECONDS


async def test_commands_are_refused_in_time_and_accepted_again_afterwards(
    guarded: GuardedServer, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "ORDERFOLD_DATA": str(tmp_path),
        "ORDERFOLD_NATS_URL": guarded.url,
        "ORDERFOLD_NATS_CREDENTIALS": str(seed_file(guarded.keys, "catalog")),
    }
    command = [sys.executable, "-P", "-m", "contexts", "catalog"]
    catalog = Process("catalog", command, tmp_path / "catalog.log", lambda: True, env=environment)
    catalog.start()
    gateway = await connect(guarded.settings("gateway"), "gateway")
    client = CommandClient(gateway)
    try:
        assert isinstance(await add(client, "MUG", "Mug", within=HOLDS_SECONDS), Accepted)
        await pause(guarded.process.pid)
        refused = await add(client, "CUP", "Cup nobody was told of", within=1)
        assert isinstance(refused, Refused)
        assert refused.kind is RefusalKind.UNAVAILABLE
        os.kill(guarded.process.pid, signal.SIGCONT)
        # What waited in the server comes too late: it would be rejected, had the first one been carried out.
        assert isinstance(await add(client, "CUP", "Cup", within=HOLDS_SECONDS), Accepted)
        assert catalog.running
    finally:
        os.kill(guarded.process.pid, signal.SIGCONT)
        await gateway.close()
        catalog.kill()


async def pause(pid: int) -> None:
    """Return when every thread of a process has stopped: the signal takes its time to reach them."""
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(HOLDS_SECONDS):
        while not all(map(stopped, Path(f"/proc/{pid}/task").iterdir())):  # noqa: ASYNC240 - /proc does not block
            await asyncio.sleep(0.01)


def stopped(task: Path) -> bool:
    """Whether a thread is stopped (`T`, the field after its name in parentheses)."""
    return (task / "stat").read_text().rpartition(") ")[2].startswith("T")


async def add(client: CommandClient, sku: str, name: str, *, within: float) -> Answer:
    """Add a product under a new command id."""
    now = datetime.now(UTC)
    identity = str(uuid.uuid4())
    envelope = Envelope(
        command_id=identity,
        correlation_id=identity,
        causation_id=identity,
        actor="tester",
        time=now,
        deadline=now + timedelta(seconds=within),
    )
    product = AddProduct(sku=sku, name=name, unit_price=100, currency="GBP")
    async with asyncio.timeout(2 * HOLDS_SECONDS):
        return await client.send("catalog", "AddProduct", msgspec.json.encode(product), envelope)
