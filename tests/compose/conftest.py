"""The stack of compose.yaml on this machine: images built, started once, taken down at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from gateway.access import SCOPES
from infra.compose_secrets import ISSUER, make_secrets
from infra.servers import free_port
from infra.signing_keys import SigningKeys
from tests.compose.stack import ROOT, Stack, eventually

PROGRAMS = ("podman", "docker-compose", "mmdebstrap", "runc")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The core of the stack, and Prometheus with it, ready."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(PROGRAMS)} (missing: {', '.join(missing) or 'root'})")
    subprocess.run([ROOT / "infra" / "testing" / "local-images.sh"], check=True)
    make_secrets(ROOT / ".compose", 8080)
    ports = {name: free_port() for name in ("ORDERFOLD_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")}
    with Stack(tmp_path_factory.mktemp("compose"), ports) as running:
        running.up()
        eventually(lambda: ready(running), "the gateway's readiness")
        yield running


def ready(stack: Stack) -> bool:
    """Whether the gateway says that all it needs is there."""
    try:
        return httpx.get(f"http://127.0.0.1:{stack.port}/health/ready", timeout=5).status_code == 200
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
        timeout=20.0,
    ) as client:
        yield client
