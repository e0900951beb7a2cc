"""NATS by TLS 1.3 with certificates of both sides, on a real server with the configuration that ships."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.transport import TcpTransport

from infra.nats import connection as nats_connection
from infra.nats.connection import NatsUnavailable, connect
from infra.settings import Settings
from tests.conftest import Server
from tests.infra.security.authority import Certificates, tls_server
from tests.infra.security.nats_server import TlsNats
from tests.support.deadlines import HOLDS_SECONDS

HELLO = b'INFO {"server_id":"X","version":"2.14.0","tls_required":true,"max_payload":1048576}\r\n'
"""What nats-server says before TLS begins."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[TlsNats]:
    """One for all."""
    server = TlsNats(tmp_path_factory.mktemp("nats"), certificates)
    server.process.start()
    yield server
    server.process.kill()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that cannot be is tried again for ten seconds otherwise."""
    monkeypatch.setattr(nats_connection, "CONNECT_SECONDS", 0.6)


async def refused(settings: Settings) -> str:
    with pytest.raises(NatsUnavailable) as refusal:
        await connect(settings, "gateway")
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


async def test_a_service_with_a_certificate_and_a_key_is_served(server: TlsNats) -> None:
    client = await connect(server.settings("read_models"), "read_models")
    wire = client._transport._io_writer.get_extra_info("ssl_object")  # type: ignore[union-attr]
    assert wire.version() == "TLSv1.3"
    await client.close()


async def test_a_client_without_a_certificate_is_refused_and_told_what_to_set(server: TlsNats) -> None:
    said = await refused(server.settings("gateway", tls_certificate=None, tls_key=None))
    assert "set ORDERFOLD_TLS_CERTIFICATE and ORDERFOLD_TLS_KEY" in said


async def test_a_client_with_a_strangers_certificate_is_refused(
    server: TlsNats, strangers: Certificates
) -> None:
    files = {"tls_certificate": strangers.certificate("gateway"), "tls_key": strangers.key("gateway")}
    said = await refused(server.settings("gateway", **files))
    assert "the server does not believe ORDERFOLD_TLS_CERTIFICATE" in said


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), ConnectionResetError(104, "reset")])
async def test_a_refusal_is_explained_also_when_its_reason_was_lost_on_the_way(
    server: TlsNats, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """The server ends the connection with its reason while the client speaks: often that alone is noticed."""

    async def lost(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(TcpTransport, "connect_tls", lost)
    said = await refused(server.settings("gateway", tls_certificate=None, tls_key=None))
    assert "set ORDERFOLD_TLS_CERTIFICATE and ORDERFOLD_TLS_KEY" in said


async def test_a_certificate_does_not_stand_in_for_the_users_key(server: TlsNats) -> None:
    settings = Settings(nats_url=server.url, **server.certificates.identity("gateway"))
    assert "wants a user" in await refused(settings)


async def test_a_server_of_another_authority_is_not_believed(
    server: TlsNats, strangers: Certificates
) -> None:
    assert "is ORDERFOLD_TLS_CA its authority's" in await refused(
        server.settings("gateway", tls_ca=strangers.ca)
    )


async def test_a_server_under_another_name_is_not_believed(certificates: Certificates) -> None:
    with tls_server(certificates, "nats", HELLO, host="127.0.0.2") as port:
        settings = Settings(nats_url=f"tls://127.0.0.2:{port}", **certificates.identity("gateway"))
        assert "the server's certificate is for other names" in await refused(settings)


async def test_the_server_speaks_no_tls_before_1_3(server: TlsNats) -> None:
    async def shake(version: ssl.TLSVersion) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            await reader.readline()
            context = server.certificates.context("gateway", version)
            await writer.start_tls(context, server_hostname="127.0.0.1")
            return str(writer.get_extra_info("ssl_object").version())
        finally:
            writer.close()

    assert await shake(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await shake(ssl.TLSVersion.TLSv1_2)


async def test_a_server_of_tls_1_2_is_refused(certificates: Certificates) -> None:
    with tls_server(certificates, "nats", HELLO, newest=ssl.TLSVersion.TLSv1_2) as port:
        settings = Settings(nats_url=f"tls://127.0.0.1:{port}", **certificates.identity("gateway"))
        assert "does not speak TLS 1.3" in await refused(settings)


async def test_a_server_that_offers_no_tls_gets_nothing_to_read(
    nats: Server, certificates: Certificates
) -> None:
    """The library by itself would go on without TLS: whoever is between could have it so."""
    url = nats.url.replace("nats://", "tls://")
    said = await refused(Settings(nats_url=url, **certificates.identity("gateway")))
    assert "the server speaks no TLS, and ORDERFOLD_NATS_URL says tls://" in said


async def test_an_address_without_tls_is_told_to_have_it(server: TlsNats) -> None:
    settings = Settings(nats_url=f"nats://127.0.0.1:{server.port}", **server.certificates.identity("gateway"))
    assert "write tls:// in ORDERFOLD_NATS_URL" in await refused(settings)


async def test_a_lost_connection_is_restored_by_tls(tmp_path: Path, certificates: Certificates) -> None:
    server = TlsNats(tmp_path, certificates)
    server.process.start()
    try:
        client = await connect(server.settings("operator"), "operator")
        server.process.kill()
        server.process.start()
        async with asyncio.timeout(HOLDS_SECONDS):
            while not client.is_connected or client.stats["reconnects"] < 1:
                await asyncio.sleep(0.02)
        wire = client._transport._io_writer.get_extra_info("ssl_object")  # type: ignore[union-attr]
        assert wire.version() == "TLSv1.3"
        await client.close()
    finally:
        server.process.kill()
