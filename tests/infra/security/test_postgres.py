"""PostgreSQL by TLS 1.3, users by certificate and password: a real server with the access file that ships."""

from __future__ import annotations

import ssl
from pathlib import Path

import psycopg
import pytest

from infra.event_store.store import EventStore, StoreUnavailable
from infra.settings import Settings
from tests.infra.security.authority import Certificates, tls_server
from tests.infra.security.postgres_tls import PASSWORD, PostgresTls

pytestmark = pytest.mark.postgresql


@pytest.fixture
def address(postgres: PostgresTls) -> str:
    return postgres.address


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    return file


def store_url(address: str, password_file: Path, mode: str = "verify-full", **files: object) -> str:
    settings = Settings(
        store=f"postgresql://{{context}}@{address}/ordering?sslmode={mode}",
        store_password_file=password_file,
        **files,  # type: ignore[arg-type]
    )
    return settings.store_url("ordering")


async def refused(url: str) -> str:
    with pytest.raises(StoreUnavailable) as refusal:
        await EventStore.open("ordering", url)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


async def test_a_context_with_its_certificate_and_password_is_served(
    address: str, password_file: Path, certificates: Certificates
) -> None:
    url = store_url(address, password_file, **certificates.identity("ordering"))
    store = await EventStore.open("ordering", url)
    await store.close()
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row == ("TLSv1.3", "/CN=ordering")


async def test_a_client_without_a_certificate_is_refused_and_told_what_to_set(
    address: str, password_file: Path, certificates: Certificates
) -> None:
    said = await refused(store_url(address, password_file, tls_ca=certificates.ca))
    assert "set ORDERFOLD_TLS_CERTIFICATE and ORDERFOLD_TLS_KEY" in said


async def test_another_services_certificate_is_not_enough(
    address: str, password_file: Path, certificates: Certificates
) -> None:
    """The password is right; its user is another than the certificate's."""
    said = await refused(store_url(address, password_file, **certificates.identity("payments")))
    assert 'authentication failed for user "ordering"' in said


async def test_a_certificate_does_not_stand_in_for_the_password(
    tmp_path: Path, address: str, certificates: Certificates
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed")
    said = await refused(store_url(address, wrong, **certificates.identity("ordering")))
    assert "password authentication failed" in said


async def test_a_client_with_a_strangers_certificate_is_refused(
    address: str, password_file: Path, certificates: Certificates, strangers: Certificates
) -> None:
    given = strangers.identity("ordering") | {"tls_ca": certificates.ca}
    said = await refused(store_url(address, password_file, **given))
    assert "the server does not believe ORDERFOLD_TLS_CERTIFICATE" in said


async def test_a_client_without_tls_is_refused(
    address: str, password_file: Path, certificates: Certificates
) -> None:
    said = await refused(store_url(address, password_file, "disable", **certificates.identity("ordering")))
    assert "no encryption" in said


async def test_a_server_of_another_authority_is_not_believed(
    address: str, password_file: Path, certificates: Certificates, strangers: Certificates
) -> None:
    given = certificates.identity("ordering") | {"tls_ca": strangers.ca}
    assert "is ORDERFOLD_TLS_CA its authority's" in await refused(store_url(address, password_file, **given))


async def test_a_server_of_tls_1_2_is_refused(password_file: Path, certificates: Certificates) -> None:
    # "S" is PostgreSQL's answer to a client that asks for TLS, with eight bytes.
    with tls_server(certificates, "postgres", b"S", asked=8, newest=ssl.TLSVersion.TLSv1_2) as port:
        url = store_url(f"127.0.0.1:{port}", password_file, **certificates.identity("ordering"))
        assert "does not speak TLS 1.3" in await refused(url)


async def test_a_key_that_others_may_read_is_used_all_the_same(
    tmp_path: Path, address: str, password_file: Path, certificates: Certificates
) -> None:
    """Secrets are mounted into containers as they are outside, and PostgreSQL's library would refuse them."""
    mounted = tmp_path / "ordering.key"
    mounted.write_bytes(certificates.key("ordering").read_bytes())
    mounted.chmod(0o444)
    files = certificates.identity("ordering") | {"tls_key": mounted}
    store = await EventStore.open("ordering", store_url(address, password_file, **files))
    await store.close()
