"""MongoDB by TLS 1.3 with certificates of both sides, on a real mongod and on SecantusDB."""

from __future__ import annotations

import ssl

import pytest

from infra import mongo as mongo_connection
from infra.mongo import Mongo, MongoUnavailable
from infra.settings import Settings
from tests.infra.security.authority import Certificates, tls_server

pytestmark = pytest.mark.fallback


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


async def test_a_service_with_a_certificate_is_served(mongo_address: str, certificates: Certificates) -> None:
    mongo = Mongo(settings(mongo_address, **certificates.identity("read_models")))
    try:
        await mongo.check()
        async with mongo.transaction() as transaction:
            assert await transaction.find("nothing", {}) == []
        context = mongo._client.delegate.options.pool_options._ssl_context
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    finally:
        mongo.close()


async def test_a_client_without_a_certificate_is_refused(
    mongo_address: str, certificates: Certificates
) -> None:
    await refused(settings(mongo_address, tls_ca=certificates.ca))


async def test_a_client_with_a_strangers_certificate_is_refused(
    mongo_address: str, certificates: Certificates, strangers: Certificates
) -> None:
    await refused(settings(mongo_address, **strangers.identity("gateway") | {"tls_ca": certificates.ca}))


async def test_a_client_without_tls_is_refused(mongo_address: str, certificates: Certificates) -> None:
    await refused(settings(mongo_address, "tls=false", **certificates.identity("gateway")))


async def test_a_server_of_another_authority_is_not_believed(
    mongo_address: str, certificates: Certificates, strangers: Certificates
) -> None:
    given = certificates.identity("gateway") | {"tls_ca": strangers.ca}
    assert "is ORDERFOLD_TLS_CA its authority's" in await refused(settings(mongo_address, **given))


async def test_a_server_of_tls_1_2_is_refused(certificates: Certificates) -> None:
    with tls_server(certificates, "mongo", newest=ssl.TLSVersion.TLSv1_2) as port:
        given = settings(f"127.0.0.1:{port}", **certificates.identity("gateway"))
        assert "does not speak TLS 1.3" in await refused(given)
