"""MongoDB by TLS 1.3 with certificates of both sides, on a real MongoDB-protocol server."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from infra import mongo as mongo_connection
from infra.mongo import Mongo, MongoUnavailable
from infra.servers import Process, executable, free_port, listening
from infra.settings import Settings
from tests.tls.authority import Certificates, tls_server


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    """Where a server listens that wants certificates."""
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


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot be used is tried for three seconds otherwise."""
    monkeypatch.setattr(mongo_connection, "SELECT_SECONDS", 0.7)


def settings(address: str, options: str = "tls=true", **files: object) -> Settings:
    return Settings(mongo_url=f"mongodb://{address}/?directConnection=true&{options}", **files)  # type: ignore[arg-type]


async def refused(given: Settings) -> str:
    mongo = Mongo(given)
    try:
        with pytest.raises(MongoUnavailable) as refusal:
            await mongo.check()
    finally:
        mongo.close()
    return str(refusal.value)


async def test_a_service_with_a_certificate_is_served(address: str, certificates: Certificates) -> None:
    mongo = Mongo(settings(address, **certificates.identity("read_models")))
    try:
        await mongo.check()
        async with mongo.transaction() as transaction:
            assert await transaction.find("nothing", {}) == []
        context = mongo._client.delegate.options.pool_options._ssl_context
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    finally:
        mongo.close()


async def test_a_client_without_a_certificate_is_refused(address: str, certificates: Certificates) -> None:
    await refused(settings(address, tls_ca=certificates.ca))


async def test_a_client_with_a_strangers_certificate_is_refused(
    address: str, certificates: Certificates, strangers: Certificates
) -> None:
    await refused(settings(address, **strangers.identity("gateway") | {"tls_ca": certificates.ca}))


async def test_a_client_without_tls_is_refused(address: str, certificates: Certificates) -> None:
    await refused(settings(address, "tls=false", **certificates.identity("gateway")))


async def test_a_server_of_another_authority_is_not_believed(
    address: str, certificates: Certificates, strangers: Certificates
) -> None:
    given = certificates.identity("gateway") | {"tls_ca": strangers.ca}
    assert "is ORDERFOLD_TLS_CA its authority's" in await refused(settings(address, **given))


async def test_a_server_of_tls_1_2_is_refused(certificates: Certificates) -> None:
    with tls_server(certificates, "mongo", newest=ssl.TLSVersion.TLSv1_2) as port:
        given = settings(f"127.0.0.1:{port}", **certificates.identity("gateway"))
        assert "does not speak TLS 1.3" in await refused(given)
