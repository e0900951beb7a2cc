"""The stack of compose.yaml on this machine: images built, started for a file of tests, then taken down."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from gateway.http.guard import SCOPES
from infra.deploy.compose_secrets import ISSUER, make_secrets
from infra.security.development_issuer import SigningKeys
from infra.sockets import free_port
from tests.deploy.compose.stack import ROOT, Stack, eventually
from tests.infra.security.authority import Certificates
from tests.support.deadlines import HOLDS_SECONDS

PROGRAMS = ("podman", "docker-compose", "mmdebstrap", "npm", "runc")


@pytest.fixture(scope="session")
def secrets() -> Path:
    """The folder of what containers get as files, the images they are made of being there."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(PROGRAMS)} (missing: {', '.join(missing) or 'root'})")
    subprocess.run([ROOT / "infra" / "deploy" / "local-images" / "build.sh"], check=True)
    folder = ROOT / ".compose"
    make_secrets(folder, 8080)
    return folder


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """Where it is published."""
    return {name: free_port() for name in ("ORDERFOLD_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, secrets: Path, ports: dict[str, int]) -> Iterator[Stack]:
    """The core of the stack, and Prometheus and Alertmanager with it, ready."""
    assert secrets.is_dir()
    with Stack(tmp_path_factory.mktemp("compose"), ports) as running:
        running.up()
        # It looks every 15 s: early, so that nobody has to wait for it.
        running.up("--no-deps", "--no-recreate", "prometheus", "alertmanager")
        eventually(lambda: ready(f"http://127.0.0.1:{running.port}"), "the gateway's readiness")
        yield running


@pytest.fixture(scope="module")
def certificates(secrets: Path) -> Iterator[Certificates]:
    """Those that containers get."""
    make_secrets(secrets, 8080, tls=True)
    yield Certificates(secrets / "tls")
    make_secrets(secrets, 8080)


@pytest.fixture(scope="module")
def tls_stack(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, ports: dict[str, int]
) -> Iterator[Stack]:
    """The core of the stack, and Prometheus with it, on mutual TLS, ready."""
    with Stack(tmp_path_factory.mktemp("compose"), ports, "infra/deploy/compose/tls.yaml") as running:
        running.up()
        running.up("--no-deps", "--no-recreate", "prometheus")
        here = f"https://localhost:{running.port}"
        eventually(lambda: ready(here, certificates.context()), "the gateway's readiness")
        yield running


def ready(url: str, believing: ssl.SSLContext | None = None) -> bool:
    """Whether the gateway says that all it needs is there."""
    try:
        return httpx.get(f"{url}/health/ready", timeout=5, verify=believing or True).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def token() -> str:
    """A bearer token of the stack's issuer, as `orderfold token --data .compose` prints it."""
    keys = SigningKeys.load(Path(ROOT / ".compose" / "keys"))
    return keys.mint(
        list(SCOPES), subject="test", lifetime=timedelta(hours=1), issuer=ISSUER, audience="orderfold"
    )


@pytest.fixture
async def http(stack: Stack, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the published port."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{stack.port}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=HOLDS_SECONDS,
    ) as client:
        yield client
