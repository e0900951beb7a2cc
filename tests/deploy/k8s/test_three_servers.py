"""On a cluster of three NATS servers each stream is on all of them, and one that dies is not missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from infra.embedded.servers import Process, executable, listening
from infra.event_log.relay import Relay
from infra.event_store.store import EventStore
from infra.nats.connection import NatsUnavailable, connect
from infra.nats.jetstream import JetStreamRefused, ask, stream_name
from infra.runtime.timers import Timers
from infra.settings import Settings
from infra.sockets import free_port
from tests.infra.event_log.ordering_log import CONTEXT, OrderingLog, eventually, running

SERVERS = ("nats-0", "nats-1", "nats-2")

CONFIGURATION = """\
server_name: {name}
listen: "127.0.0.1:{port}"
max_payload: 1MB
jetstream {{ store_dir: "{folder}", sync_interval: always, max_file_store: 1GB }}
cluster {{ name: nats, listen: "127.0.0.1:{route}", no_advertise: true, routes: [{routes}] }}
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, tuple[Process, int]]]:
    """Three servers, and the ports clients use."""
    routes = {name: free_port() for name in SERVERS}
    found = {}
    for name in SERVERS:
        folder = tmp_path / name
        folder.mkdir()
        port = free_port()
        (folder / "nats.conf").write_text(
            CONFIGURATION.format(
                name=name,
                port=port,
                folder=folder,
                route=routes[name],
                routes=", ".join(f'"nats://127.0.0.1:{route}"' for route in routes.values()),
            )
        )
        command = [executable("nats-server"), "-c", str(folder / "nats.conf")]
        found[name] = (Process(name, command, folder / "nats.log", partial(listening, port)), port)
    for process, _ in found.values():
        process.spawn()
    yield found
    for process, _ in found.values():
        process.kill()


@pytest.fixture
async def connection(cluster: dict[str, tuple[Process, int]]) -> AsyncIterator[Client]:
    """A connection to whichever of the three is there, once they have a leader."""
    urls = ",".join(f"nats://127.0.0.1:{port}" for _, port in cluster.values())
    await eventually(lambda: _all_ready(cluster))
    client = await connect(Settings(nats_url=urls), "test")
    await eventually(lambda: _answers(client))
    yield client
    await client.close()


async def test_every_stream_is_on_all_three_and_outlives_the_death_of_one(
    cluster: dict[str, tuple[Process, int]], connection: Client, sqlite_store: str
) -> None:
    store = await EventStore.open(CONTEXT, sqlite_store)
    ordering = OrderingLog(store)
    relay = Relay(connection, store, stream_replicas=3)
    async with running(relay.run()):
        first = await ordering.add(3)
        await eventually(lambda: _reached(relay, first))
        await Timers(connection, CONTEXT, stream_replicas=3).ensure()
        for stream in (stream_name(CONTEXT), f"TIMERS_{CONTEXT}"):
            info = await ask(connection, f"STREAM.INFO.{stream}", dict[str, Any])
            assert info["config"]["num_replicas"] == 3
            servers = {info["cluster"]["leader"], *(item["name"] for item in info["cluster"]["replicas"])}
            assert servers == set(SERVERS)
        # Not the one that leads: electing another takes five seconds, and shows nothing more.
        follower = info["cluster"]["replicas"][0]["name"]
        cluster[follower][0].kill()
        second = await ordering.add(3)
        await eventually(lambda: _reached(relay, second))
    await store.close()


async def _all_ready(cluster: dict[str, tuple[Process, int]]) -> bool:
    return all(process.is_ready() for process, _ in cluster.values())


async def _answers(client: Client) -> bool:
    """Whether JetStream has a leader that answers."""
    try:
        async with asyncio.timeout(1):
            info = await ask(client, "INFO", dict[str, Any])
    except (JetStreamRefused, NatsUnavailable, TimeoutError):
        return False
    return "streams" in info


async def _reached(relay: Relay, position: int) -> bool:
    return relay.position >= position
