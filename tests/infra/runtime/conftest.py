"""The catalog at work on a real store and a real nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import nats as nats_py
import pytest
from nats.aio.client import Client

from contexts.catalog.service import context as catalog
from contexts.messages import Rejected, Unknown
from infra.event_store.store import EventStore
from infra.messages.codec import EventCodec
from infra.messages.commands import Answer, Envelope, RefusalKind
from infra.runtime.command_client import CommandClient
from infra.runtime.command_server import CommandService
from infra.runtime.inbox import Inbox
from infra.runtime.stream_cache import Streams
from infra.settings import Settings
from tests.conftest import Server
from tests.support.deadlines import HOLDS_SECONDS

REFUSALS: dict[type[Exception], RefusalKind] = {
    Unknown: RefusalKind.UNKNOWN,
    Rejected: RefusalKind.REJECTED,
}

Send = Callable[..., Awaitable[Answer]]


def envelope(command_id: str, **changes: Any) -> Envelope:
    """What goes with a command sent now."""
    now = datetime.now(UTC)
    made = Envelope(
        command_id=command_id,
        correlation_id="correlation",
        causation_id="cause",
        actor="tester",
        time=now,
        # Not what these tests are about: a machine may stand still for seconds.
        deadline=now + timedelta(seconds=HOLDS_SECONDS),
    )
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    """The catalog's store, once on each database."""
    opened = await EventStore.open("catalog", store_url)
    yield opened
    await opened.close()


@pytest.fixture
async def send(nats: Server, store: EventStore) -> AsyncIterator[Send]:
    """Sends a command to the running catalog and returns the answer."""
    connection = await nats_py.connect(nats.url)
    context = catalog(Settings())
    streams = Streams(store, EventCodec(context.events), context.initial, context.evolve)
    inbox = Inbox(context, streams, connection)
    service = CommandService(context, connection, streams, inbox, REFUSALS)
    await service.start()
    client = CommandClient(connection)

    async def send(command: Any, command_id: str, **changes: Any) -> Answer:
        name = type(command).__name__
        body = command if isinstance(command, bytes) else msgspec.json.encode(command)
        return await client.send("catalog", changes.pop("name", name), body, envelope(command_id, **changes))

    yield send
    await service.stop()
    await connection.close()


@pytest.fixture
async def connection(nats: Server) -> AsyncIterator[Client]:
    """A connection to the server of this test."""
    client = await nats_py.connect(nats.url)
    yield client
    await client.close()
