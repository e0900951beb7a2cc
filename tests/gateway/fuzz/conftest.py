"""The whole stack with no limits to how often it is asked, and a shop in it that has everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.auth.roles import Role
from gateway.http.guard import SCOPES
from infra.embedded.stack import EmbeddedStack
from infra.security.development_issuer import SigningKeys
from infra.sockets import free_port
from tests.gateway.fuzz.shop import furnish
from tests.support.shop import Shop

UNLIMITED = {f"ORDERFOLD_LIMIT_{name}": "off" for name in ("READS", "COMMANDS", "OPEN")}


class Issuer:
    """Mints the stack's bearer tokens."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._settings = stack.settings
        self._keys = SigningKeys.load(stack.folder.keys)

    def token(self, subject: str = "staff", *, scopes: str | None = None, role: Role = Role.STAFF) -> str:
        """A token with every scope, unless told otherwise."""
        return self._keys.mint(
            [str(scope) for scope in SCOPES] if scopes is None else scopes.split(),
            subject=subject,
            lifetime=timedelta(hours=1),
            issuer=self._settings.jwt_issuer,
            audience=self._settings.jwt_audience,
            role=role,
        )

    def customer(self, customer_id: str) -> str:
        """A customer's own token."""
        return self.token(customer_id, role=Role.CUSTOMER)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    """A running stack, furnished."""
    folder: Path = tmp_path_factory.mktemp("stack") / "data"
    async with EmbeddedStack(folder, port=free_port(), environ=UNLIMITED) as running:
        async with Shop(running.url, Issuer(running).token()) as shop:
            await furnish(shop, running)
        yield running


@pytest.fixture(scope="module")
def issuer(stack: EmbeddedStack) -> Issuer:
    return Issuer(stack)
