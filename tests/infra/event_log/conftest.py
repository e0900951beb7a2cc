"""A connection to a fresh nats-server and a fresh store with its log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from infra.event_store.store import EventStore
from infra.nats.connection import connect
from infra.settings import Settings
from tests.conftest import Server
from tests.infra.event_log.ordering_log import CONTEXT, OrderingLog


@pytest.fixture
async def connection(nats: Server) -> AsyncIterator[Client]:
    """A connection to the test's nats-server."""
    client = await connect(Settings(nats_url=nats.url), "test")
    yield client
    await client.close()


@pytest.fixture
async def ordering(sqlite_store: str) -> AsyncIterator[OrderingLog]:
    """The log of a fresh store."""
    store = await EventStore.open(CONTEXT, sqlite_store)
    yield OrderingLog(store)
    await store.close()


@pytest.fixture
def nats_folder(tmp_path: Path) -> Path:
    """Where the test's nats-server keeps its data."""
    return tmp_path / "nats"
