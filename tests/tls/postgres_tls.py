"""Has a running PostgreSQL speak TLS as infra/compose/tls/ says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres_server import NOBODY
from tests.tls.authority import Certificates

SYSTEM = Path("/usr/lib/postgresql")
"""Where Debian has its versions."""

ACCESS = Path(__file__).parents[2] / "infra" / "compose" / "tls" / "pg_hba.conf"


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
    deadline = time.monotonic() + 10
    while connection.execute("SHOW ssl").fetchone() != ("on",):
        assert time.monotonic() < deadline
        time.sleep(0.01)
