"""The development CA, a stranger's, and servers that want certificates."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from infra.embedded.servers import Process, executable, listening
from infra.sockets import free_port
from tests.infra.security.authority import Certificates
from tests.infra.security.postgres_tls import PostgresTls, binaries_with_tls, with_tls
from tests.support.postgres_server import postgres_server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those that servers and clients have."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of another authority: alike, and believed by nobody."""
    return Certificates(tmp_path_factory.mktemp("strangers"))


@pytest.fixture(scope="session")
def mongo_address(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    """Where a MongoDB-protocol server listens."""
    folder, port = tmp_path_factory.mktemp("mongo"), free_port()
    command = [
        executable("secantusd-py"),
        *("--port", str(port), "--storage-path", str(folder / "data"), "--cache-size", "64M"),
        *("--tls-cert-file", str(certificates.certificate("mongo"))),
        *("--tls-key-file", str(certificates.key("mongo"))),
        *("--tls-ca-file", str(certificates.ca), "--tls-require-client-cert"),
    ]
    process = Process("mongodb (secantusd)", command, folder / "log", lambda: listening(port))
    process.start()
    yield f"127.0.0.1:{port}"
    process.kill()


@pytest.fixture(scope="session")
def postgres(certificates: Certificates) -> Iterator[PostgresTls]:
    """PostgreSQL with a database and a user for each context."""
    with (
        postgres_server(binaries=binaries_with_tls()) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        with_tls(connection, certificates)
        yield PostgresTls(url.partition("@")[2].partition("/")[0], connection)
