"""A database of its own per test, contexts' stores with their relays, and projectors to run over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from pymongo import AsyncMongoClient

from infra.mongo import Mongo
from infra.nats.connection import connect
from infra.settings import Settings
from read_models.projection.documents import ReadModels
from tests.conftest import Server
from tests.read_models.logs import Logs


@pytest.fixture
async def mongo(mongo_url: str, mongo_database: str) -> AsyncIterator[Mongo]:
    """A fresh database."""
    mongo = Mongo(Settings(mongo_url=mongo_url, mongo_database=mongo_database))
    yield mongo
    # A process that a test has killed may have left a transaction open, and a drop would wait for it.
    async with AsyncMongoClient[Any](mongo_url) as client:
        await client.admin.command({"killAllSessions": []})
    await mongo.drop_database()
    mongo.close()


@pytest.fixture
def models(mongo: Mongo) -> ReadModels:
    """The read models of a fresh database."""
    return ReadModels(mongo)


@pytest.fixture
async def connection(nats: Server) -> AsyncIterator[Client]:
    """A connection to the test's nats-server."""
    client = await connect(Settings(nats_url=nats.url), "test")
    yield client
    await client.close()


@pytest.fixture
async def logs(connection: Client, tmp_path: Path) -> AsyncIterator[Logs]:
    """Contexts' stores, each with its relay to the test's nats-server."""
    logs = Logs(connection, tmp_path / "stores")
    yield logs
    await logs.stop()
