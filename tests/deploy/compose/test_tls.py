"""The container stack on mutual TLS: an order's life, and who is not let in."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contexts import NAMES as CONTEXTS
from tests.deploy.compose.life import delivered, nothing_is_left_of_the_forgotten
from tests.deploy.compose.stack import PROJECT, WATCHED, Stack, eventually
from tests.infra.security.authority import Certificates
from tests.support.deadlines import whole_run
from tests.support.shop import Shop

pytestmark = [pytest.mark.podman, pytest.mark.slow, whole_run]

OURS = 10001
"""Whom our image runs as."""

HEARD = {
    "nats": "Authorization Violation",
    "postgres": "SCRAM-SHA-256",
    "mongo": "isWritablePrimary",
    "gateway": " 200 ",
    "edge": " 200 ",
}
"""What a server says to whom it lets ask: the next thing it wants to know, or what was asked for."""

REFUSED = [
    *(("plain text", server, "") for server in HEARD),
    ("plain text", "postgres", "no encryption"),
    *(("TLS 1.2", server, "PROTOCOL_VERSION") for server in HEARD if server != "mongo"),
    # mongod closes the connection without a word.
    ("TLS 1.2", "mongo", ""),
    *(("no certificate", server, "") for server in ("nats", "mongo")),
    ("no certificate", "postgres", "requires a valid client certificate"),
    *(("a stranger's", server, "") for server in ("nats", "postgres", "mongo")),
]
"""How one may come to which server, and what it says instead, if that surely is heard."""


async def test_an_order_becomes_a_parcel_by_https(
    tls_stack: Stack, certificates: Certificates, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    async with Shop(f"https://localhost:{tls_stack.port}", token) as shop:
        # The provider approves it later, by a webhook over HTTPS.
        assert await delivered(shop, payment="tok_late_200") == 2850


def test_sales_are_imported_by_https(tls_stack: Stack, certificates: Certificates, tmp_path: Path) -> None:
    """`orderfold` beside the stack knows of it by the folder of its secrets."""
    data = certificates.folder.parent
    here = (sys.executable, "-P", "-m", "orderfold")
    told = tls_stack.run(
        [
            *here,
            "import",
            f"--data={data}",
            "gateway/cli/sample.csv",
            "--profile=online-retail",
            f"--rejects={tmp_path / 'rejects.csv'}",
        ]
    )
    assert "reconciled" in told


def test_the_operator_finds_everything_as_the_stores_say(tls_stack: Stack) -> None:
    found = json.loads(tls_stack.operator("verify", "--json"))
    assert found["clean"], found
    assert {checked["context"] for checked in found["contexts"]} == set(CONTEXTS)


async def test_nothing_is_left_of_a_customer_who_was_forgotten(
    tls_stack: Stack, certificates: Certificates, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is searched by mutual TLS, too."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    async with Shop(f"https://localhost:{tls_stack.port}", token) as shop:
        await nothing_is_left_of_the_forgotten(tls_stack, shop)


@pytest.fixture(scope="module")
def inside(
    tls_stack: Stack, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """Runs Python of our image on the stack's network, with certificates of some, and of a stranger."""
    folder = tmp_path_factory.mktemp("inside")
    strangers = Certificates(tmp_path_factory.mktemp("strangers"))
    shutil.copy(certificates.ca, folder)
    for made, name, there in (
        (certificates, "ordering", "ordering"),
        (certificates, "payments", "payments"),
        (strangers, "ordering", "stranger"),
    ):
        shutil.copy(made.certificate(name), folder / f"{there}.pem")
        shutil.copy(made.key(name), folder / f"{there}.key")
        # PostgreSQL's library wants to be the only one who may read it.
        (folder / f"{there}.key").chmod(0o600)
    shutil.copy(Path(__file__).with_name("knock.py"), folder)
    shutil.copy(certificates.folder.parent / "passwords" / "store_ordering", folder / "password")
    for file in (folder, *folder.iterdir()):
        os.chown(file, OURS, OURS)

    def run(*command: str) -> str:
        where = (f"--network={PROJECT}_internal", f"--volume={folder}:/inside:ro", "--workdir=/inside")
        return tls_stack.podman("run", "--rm", *where, "localhost/orderfold:dev", *command)

    return run


@pytest.fixture(scope="module")
def answers(inside: Callable[..., str]) -> dict[str, dict[str, str]]:
    """What each server says to whom, from within the network, where all of them can be reached."""
    return dict(json.loads(inside("python", "knock.py", ".")))


@pytest.mark.parametrize("server", HEARD)
def test_a_server_hears_a_service_by_tls_1_3_with_its_certificate(
    answers: dict[str, dict[str, str]], server: str
) -> None:
    assert HEARD[server] in answers["its own"][server]


@pytest.mark.parametrize(("way", "server", "said"), REFUSED)
def test_a_server_hears_nobody_who_comes_otherwise(
    answers: dict[str, dict[str, str]], way: str, server: str, said: str
) -> None:
    assert said in answers[way][server]
    assert HEARD[server] not in answers[way][server]


def test_customers_need_no_certificate(answers: dict[str, dict[str, str]]) -> None:
    """They and payment providers show tokens and signatures; who they are is not the authority's business."""
    for server in ("edge", "gateway"):
        assert HEARD[server] in answers["no certificate"][server]


CONNECT = """
import psycopg, sys
try:
    psycopg.connect(
        f"postgresql://ordering@postgres/ordering?sslmode=verify-full&sslrootcert=ca.pem"
        f"&sslcert={sys.argv[1]}.pem&sslkey={sys.argv[1]}.key",
        password=open("password").read(),
    )
    print("served")
except psycopg.OperationalError as refusal:
    print(refusal)
"""


def test_postgresql_serves_a_user_whose_certificate_names_it_and_no_other(
    inside: Callable[..., str],
) -> None:
    """The password is right both times."""
    assert inside("python", "-c", CONNECT, "ordering") == "served\n"
    assert 'authentication failed for user "ordering"' in inside("python", "-c", CONNECT, "payments")


def test_every_context_is_known_to_postgresql_by_its_certificate(tls_stack: Stack) -> None:
    spoken = tls_stack.podman(
        *("exec", tls_stack.container("postgres"), "psql", "-h", "/run/postgresql", "-U", "postgres"),
        *("--no-psqlrc", "--tuples-only", "--no-align", "-c"),
        "SELECT DISTINCT usename, version, client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE client_addr IS NOT NULL",
    )
    assert sorted(spoken.split()) == sorted(f"{name}|TLSv1.3|/CN={name}" for name in CONTEXTS)


def test_prometheus_sees_every_process_the_gateway_by_https(tls_stack: Stack) -> None:
    eventually(lambda: tls_stack.watched() == WATCHED, "Prometheus' sight of all")


def test_nothing_had_to_be_started_again(tls_stack: Stack) -> None:
    """A service that found a certificate wrong would have ended."""
    counts = tls_stack.podman("inspect", "--format={{.RestartCount}}", *tls_stack.containers())
    assert set(counts.split()) == {"0"}


def test_health_checks_leave_nothing_in_postgresqls_log(tls_stack: Stack) -> None:
    """They come every few seconds."""
    said = tls_stack.podman("logs", tls_stack.container("postgres"))
    assert 'user "postgres"' not in said
