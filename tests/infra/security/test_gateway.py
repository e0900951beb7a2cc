"""The gateway over HTTPS, on granian: TLS 1.3 and nothing older, with the certificate it was given."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.embedded.servers import Process, listening
from infra.sockets import free_port
from tests.infra.security.authority import Certificates
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS

ROOT = Path(__file__).parents[3]


def environment(folder: Path, port: int, **settings: object) -> dict[str, str]:
    """What a gateway is told; there is no server behind it."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ORDERFOLD_DATA": str(folder),
        "ORDERFOLD_PORT": str(port),
        "ORDERFOLD_NATS_URL": "nats://127.0.0.1:1",
        "ORDERFOLD_MONGO_URL": "mongodb://127.0.0.1:1",
        **{f"ORDERFOLD_{name.upper()}": str(value) for name, value in settings.items()},
    }


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[int]:
    """Where a gateway serves HTTPS."""
    folder, port = tmp_path_factory.mktemp("gateway"), free_port()
    files = {
        "gateway_tls_certificate": certificates.certificate("gateway"),
        "gateway_tls_key": certificates.key("gateway"),
    }
    process = Process(
        "gateway",
        [sys.executable, "-m", "gateway"],
        folder / "gateway.log",
        lambda: listening(port),
        env=environment(folder, port, **files),
    )
    process.start()
    yield port
    process.kill()


def shaken(port: int, context: ssl.SSLContext) -> str:
    """The version that is spoken after a handshake."""
    with (
        socket.create_connection(("127.0.0.1", port), HOLDS_SECONDS) as wire,
        context.wrap_socket(wire, server_hostname="localhost") as spoken,
    ):
        return str(spoken.version())


def test_requests_are_answered_by_https(port: int, certificates: Certificates) -> None:
    with httpx.Client(verify=certificates.context(), timeout=HOLDS_SECONDS) as client:
        answer = client.get(f"https://127.0.0.1:{port}/health/live")
    assert answer.status_code == 200


def test_tls_1_3_is_spoken_and_nothing_older(port: int, certificates: Certificates) -> None:
    assert shaken(port, certificates.context(version=ssl.TLSVersion.TLSv1_3)) == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        shaken(port, certificates.context(version=ssl.TLSVersion.TLSv1_2))


def test_who_believes_another_authority_does_not_believe_the_gateway(
    port: int, strangers: Certificates
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(port, strangers.context())


def test_a_request_without_tls_gets_no_answer(port: int) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=HOLDS_SECONDS)


def test_connections_that_never_shake_hands_keep_nobody_waiting(
    port: int, certificates: Certificates
) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), HOLDS_SECONDS) for _ in range(50)]
    try:
        test_requests_are_answered_by_https(port, certificates)
        assert any(map(is_open, silent)), "it was answered only after they had been ended"
    finally:
        for wire in silent:
            wire.close()


def is_open(wire: socket.socket) -> bool:
    """Whether the other side has not ended the connection."""
    wire.setblocking(False)  # with a time-out set, Python would wait for it
    try:
        return bool(wire.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_the_health_check_of_containers_asks_by_https(port: int, certificates: Certificates) -> None:
    def probed(authority: Path) -> int:
        command = [sys.executable, "-m", "infra.deploy.healthcheck", f"https://127.0.0.1:{port}/health/live"]
        env = {"PYTHONPATH": str(ROOT), "ORDERFOLD_TLS_CA": str(authority)}
        return subprocess.run(command, env=env, check=False, timeout=COMMAND_SECONDS).returncode

    assert probed(certificates.ca) == 0
    assert probed(certificates.certificate("nats")) == 1


def test_a_gateway_with_a_key_of_another_certificate_ends_with_one_line(
    tmp_path: Path, certificates: Certificates
) -> None:
    env = environment(
        tmp_path,
        free_port(),
        gateway_tls_certificate=certificates.certificate("gateway"),
        gateway_tls_key=certificates.key("nats"),
    )
    ended = subprocess.run(
        [sys.executable, "-m", "gateway"],
        env=env,
        check=False,
        timeout=COMMAND_SECONDS,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "ORDERFOLD_GATEWAY_TLS_KEY" in line
    assert str(certificates.key("nats")) in line
