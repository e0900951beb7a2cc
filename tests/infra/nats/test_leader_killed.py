"""On three servers with the real configuration, the one that leads a stream may die: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from infra.deploy.nats_keys import make_keys
from infra.event_log.relay import Relay
from infra.event_log.server import LogService
from infra.event_log.stream_audit import complaints, stream_contents
from infra.event_log.subscription import LogReader
from infra.event_store.store import EventStore
from infra.nats.connection import connect
from infra.nats.jetstream import ask, stream_name
from infra.sockets import free_port
from tests.infra.event_log.ordering_log import CONTEXT, OrderingLog, Projection, eventually, running
from tests.infra.nats.server import GuardedServer

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, GuardedServer]]:
    """Three servers by their names; what makes them a cluster are flags."""
    keys = tmp_path / "keys"
    make_keys(keys)
    ports = [free_port() for _ in range(3)]
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = {
        f"nats-{number}": GuardedServer(
            tmp_path / f"nats-{number}",
            keys,
            *("--name", f"nats-{number}", "--cluster_name", "orderfold"),
            *("--cluster", f"nats://127.0.0.1:{port}", "--routes", routes, "--no_advertise"),
        )
        for number, port in enumerate(ports)
    }
    for server in servers.values():
        server.process.spawn()
    yield servers
    for server in servers.values():
        server.process.kill()


async def connected(cluster: dict[str, GuardedServer], user: str) -> Client:
    """A user's connection to any of them."""
    await until(lambda: all(server.process.is_ready() for server in cluster.values()))
    settings = next(iter(cluster.values())).settings(user)
    urls = ",".join(server.url for server in cluster.values())
    return await connect(msgspec.structs.replace(settings, nats_url=urls), user)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fails after a deadline."""

    async def holds() -> bool:
        return condition()

    await eventually(holds)


async def test_when_a_streams_leader_dies_publishing_resumes_and_nothing_is_lost(
    cluster: dict[str, GuardedServer], sqlite_store: str
) -> None:
    store = await EventStore.open(CONTEXT, sqlite_store)
    log = OrderingLog(store)
    ordering, fulfilment = await connected(cluster, "ordering"), await connected(cluster, "fulfilment")
    relay = Relay(ordering, store, stream_replicas=3)
    reader = LogReader(fulfilment, "fulfilment-inbox", [CONTEXT])
    projection = Projection()
    served = LogService(ordering, store)
    await served.start()

    async def orders() -> None:
        while True:
            await log.add(3)
            await asyncio.sleep(0.02)

    async with running(relay.run(), projection.follow(reader)):
        adding = asyncio.create_task(orders())
        await until(lambda: relay.position > 30)
        leader = (await ask(ordering, f"STREAM.INFO.{stream_name(CONTEXT)}", dict[str, Any]))["cluster"][
            "leader"
        ]
        cluster[leader].process.kill()
        killed_at = await store.head()
        # Beyond what was there when it died, under one who leads now.
        await until(lambda: relay.position > killed_at)
        adding.cancel()
        await asyncio.gather(adding, return_exceptions=True)
        head = await store.head()
        await until(lambda: relay.position >= head)
        await projection.has(log)
        state = await stream_contents(ordering, CONTEXT)
        assert complaints(state, head=head, events=len(await log.all())) == []
    await served.stop()
    for connection in (ordering, fulfilment):
        await connection.close()
    await store.close()
    assert [line for server in cluster.values() for line in server.violations()] == []
