"""A real OpenID provider, and a gateway that knows its issuer's address and nothing else of it."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from infra.embedded.servers import Process
from infra.sockets import free_port
from tests.gateway.conftest import Contexts, Gateway, contexts, nats_url, new_gateway
from tests.gateway.oidc.keys import jwks, new_key
from tests.support.deadlines import HOLDS_SECONDS

__all__ = ["Contexts", "Gateway", "contexts", "environ", "nats_url", "new_gateway", "provider"]

HERE = Path(__file__).parent
BACK_END = ("back-end", "between-us")


@functools.cache
def unusable() -> str:
    """Why the provider cannot be run here; empty if it can."""
    if shutil.which("node") is None:
        return "there is no node"
    if not (HERE / "node_modules" / "oidc-provider").is_dir():
        return "oidc-provider is not installed: npm ci --prefix tests/gateway/oidc"
    return ""


class Provider:
    """The provider's process, and what may happen to it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._keys_file = folder / "keys.json"
        self.keys = [new_key("first")]
        self._write()
        self.process = Process(
            "oidc-provider",
            ["node", str(HERE / "provider.mjs"), str(self.port), str(self._keys_file)],
            folder / "provider.log",
            self._answers,
            env={"PATH": os.environ["PATH"]},
        )

    def _answers(self) -> bool:
        try:
            return bool(self.kids())
        except httpx.TransportError:
            return False

    def _write(self) -> None:
        self._keys_file.write_text(jwks(self.keys))

    def kids(self) -> list[str]:
        """The ids of the keys it publishes."""
        answer = httpx.get(f"{self.url}/jwks", timeout=HOLDS_SECONDS).raise_for_status()
        return [key["kid"] for key in answer.json()["keys"]]

    def rotate(self, kid: str, *, keep: int = 1) -> None:
        """Sign with a new key from now on, and go on publishing so many of those before."""
        self.keys = [new_key(kid), *self.keys[:keep]]
        self._write()
        os.kill(self.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + HOLDS_SECONDS
        while self.kids()[0] != kid:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    async def back_ends_token(self, scope: str = "orders:write") -> str:
        """A token for a program of a shop's own: the client credentials grant."""
        data = {"grant_type": "client_credentials", "scope": scope}
        async with httpx.AsyncClient(timeout=HOLDS_SECONDS) as client:
            answer = await client.post(f"{self.url}/token", data=data, auth=BACK_END)
        return str(answer.raise_for_status().json()["access_token"])


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    """A provider that runs."""
    if unusable():
        pytest.skip(unusable())
    provider = Provider(tmp_path)
    provider.process.start()
    yield provider
    provider.process.kill()


@pytest.fixture
def environ(provider: Provider, nats_url: str) -> dict[str, str]:
    """What a gateway is told: the issuer is all there is about tokens."""
    return {"ORDERFOLD_NATS_URL": nats_url, "ORDERFOLD_OIDC_ISSUER": provider.url}


@pytest.fixture
def gateway(new_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway that has read the provider's keys."""
    gateway = new_gateway()
    gateway.start()
    return gateway
