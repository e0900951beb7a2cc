"""Has a running PostgreSQL speak TLS as infra/deploy/compose/tls/ says."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from contexts import NAMES
from tests.infra.security.authority import Certificates
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.postgres_server import NOBODY

SYSTEM = Path("/usr/lib/postgresql")
"""Where Debian has its versions."""

ACCESS = Path(__file__).parents[3] / "infra" / "deploy" / "compose" / "tls" / "pg_hba.conf"


PASSWORD = f"{uuid.uuid4().hex} &%"
"""Of every user."""

DATABASES = {**{name: name for name in NAMES}, "customer_keys": "customers"}
"""Databases, and whose each is."""


class PostgresTls:
    """A server: where it listens, and a connection of its administrator from before it spoke TLS alone."""

    def __init__(self, address: str, administrator: psycopg.Connection[Any]) -> None:
        self.address = address
        self._administrator = administrator
        for name in NAMES:
            user = Identifier(name)
            administrator.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(user, Literal(PASSWORD)))
        for name, owner in DATABASES.items():
            statement = SQL("CREATE DATABASE {} OWNER {}").format(Identifier(name), Identifier(owner))
            administrator.execute(statement)

    def spoken(self) -> dict[str, set[tuple[str, str]]]:
        """What each user speaks at this moment, and the name its certificate says."""
        found: dict[str, set[tuple[str, str]]] = {}
        for user, version, name in self._administrator.execute(
            "SELECT usename, version, client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            " WHERE client_addr IS NOT NULL AND usename <> 'postgres'"
        ):
            found.setdefault(user, set()).add((version, name))
        return found


def binaries_with_tls() -> Path:
    """The programs of a PostgreSQL that speaks TLS; the wheel's was built without."""
    found = sorted(SYSTEM.glob("*/bin/postgres"))
    if not found:
        pytest.skip(f"no PostgreSQL that speaks TLS under {SYSTEM}: apt-get install postgresql")
    return found[-1].parent


def with_tls(connection: psycopg.Connection[Any], certificates: Certificates) -> None:
    """Give it its certificate and the access file, and return when it speaks TLS."""
    (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    folder = Path(data)
    files = {
        "ssl_cert_file": ("server.pem", certificates.certificate("postgres").read_bytes()),
        "ssl_key_file": ("server.key", certificates.key("postgres").read_bytes()),
        "ssl_ca_file": ("ca.pem", certificates.ca.read_bytes()),
    }
    for name, content in files.values():
        file = folder / name
        file.write_bytes(content)
        file.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(file, NOBODY, NOBODY)
    (folder / "pg_hba.conf").write_text(ACCESS.read_text())
    for setting, (name, _) in files.items():
        connection.execute(f"ALTER SYSTEM SET {setting} = '{name}'")
    connection.execute("ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1.3'")
    connection.execute("ALTER SYSTEM SET ssl = on")
    connection.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + HOLDS_SECONDS
    while connection.execute("SHOW ssl").fetchone() != ("on",):
        assert time.monotonic() < deadline
        time.sleep(0.01)
