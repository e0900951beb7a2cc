"""The development CA, a stranger's, and servers that want certificates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.embedded import mongod
from infra.embedded.mongo import MongoProgram
from infra.embedded.servers import Process, listening
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
def mongo_address(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, mongo_program: MongoProgram
) -> Iterator[str]:
    """Where a MongoDB listens that speaks TLS alone and wants certificates."""
    folder, port = tmp_path_factory.mktemp("mongo"), free_port()
    serve = mongod_with_tls if mongo_program.is_mongod else secantusdb_with_tls
    process = serve(mongo_program.path, folder, port, certificates)
    process.start()
    yield f"127.0.0.1:{port}"
    process.kill()


def mongod_with_tls(path: str, folder: Path, port: int, certificates: Certificates) -> Process:
    """A replica set that was initiated before it speaks TLS."""
    plain = mongod.server(path, folder / "data", folder / "plain.log", port)
    plain.start()
    plain.stop()
    both = folder / "mongo.pem"
    both.write_bytes(certificates.certificate("mongo").read_bytes() + certificates.key("mongo").read_bytes())
    command = [
        *(path, "--dbpath", str(folder / "data"), "--port", str(port), *mongod.OPTIONS),
        *("--tlsMode", "requireTLS", "--tlsDisabledProtocols", "TLS1_0,TLS1_1,TLS1_2"),
        *("--tlsCertificateKeyFile", str(both), "--tlsCAFile", str(certificates.ca)),
    ]
    return Process("mongod", command, folder / "log", lambda: listening(port))


def secantusdb_with_tls(path: str, folder: Path, port: int, certificates: Certificates) -> Process:
    """The same of the server that takes its place."""
    command = [
        *(path, "--port", str(port), "--storage-path", str(folder / "data"), "--cache-size", "64M"),
        *("--tls-cert-file", str(certificates.certificate("mongo"))),
        *("--tls-key-file", str(certificates.key("mongo"))),
        *("--tls-ca-file", str(certificates.ca), "--tls-require-client-cert"),
    ]
    return Process("mongodb (secantusd)", command, folder / "log", lambda: listening(port))


@pytest.fixture(scope="session")
def postgres(certificates: Certificates) -> Iterator[PostgresTls]:
    """PostgreSQL with a database and a user for each context."""
    with (
        postgres_server(binaries=binaries_with_tls()) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        with_tls(connection, certificates)
        yield PostgresTls(url.partition("@")[2].partition("/")[0], connection)
