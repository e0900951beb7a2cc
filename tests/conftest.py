"""Real servers for tests: nats-server per test, one MongoDB and one PostgreSQL per run."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded.mongo import STAND_IN, MongoProgram, mongo_server
from infra.embedded.mongo import mongo_program as find_mongo_program
from infra.embedded.servers import Process, nats_server
from infra.sockets import free_port
from tests.support.postgres_server import drop_database, fresh_database, postgres_server
from tests.support.progress import progress


def pytest_configure(config: pytest.Config) -> None:
    """Show how far long tests are; nothing is captured yet."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts tests in the background has them ignore Ctrl-C, and their children, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(progress)
    progress.watch(os.dup(2))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class Server:
    """A server under test: its process and where it listens."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Server]:
    """A fresh nats-server with JetStream; starting one takes 12 ms."""
    port = free_port()
    process = nats_server(tmp_path / "nats", port, free_port())
    process.start()
    yield Server(process, f"nats://127.0.0.1:{port}")
    process.kill()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `fallback` on both servers of MongoDB's protocol."""
    marked = metafunc.definition.get_closest_marker("fallback")
    if marked and "mongo_program" in metafunc.fixturenames:
        metafunc.parametrize(
            "mongo_program", ["", STAND_IN], ids=["mongod", STAND_IN], indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def mongo_program(request: pytest.FixtureRequest) -> MongoProgram:
    """What serves MongoDB's protocol."""
    return find_mongo_program(getattr(request, "param", ""))


@pytest.fixture(scope="session")
def mongo_process(tmp_path_factory: pytest.TempPathFactory, mongo_program: MongoProgram) -> Iterator[Server]:
    """One MongoDB for the whole run."""
    port = free_port()
    process = mongo_server(tmp_path_factory.mktemp("mongo"), port, mongo_program)
    process.start()
    yield Server(process, f"mongodb://127.0.0.1:{port}")
    process.kill()


@pytest.fixture
def mongo_url(mongo_process: Server) -> str:
    """Where the run's MongoDB listens."""
    return mongo_process.url


@pytest.fixture
def mongo_database() -> str:
    """A database name nobody else uses."""
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One PostgreSQL server for the whole run: the URL of its `postgres` database."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database."""
    url = fresh_database(postgres_url)
    yield url
    drop_database(url)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> str:
    """The URL of a fresh SQLite store."""
    return f"sqlite:{tmp_path / 'store.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A fresh store's URL, once on each database."""
    return str(request.getfixturevalue(f"{request.param}_store"))
