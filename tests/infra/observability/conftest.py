"""A whole embedded stack to be watched, once for all tests of metrics and alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.support.shop import Shop
from tests.system.e2e.conftest import bearer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    """A running stack."""
    folder = tmp_path_factory.mktemp("watched") / "data"
    async with EmbeddedStack(folder, port=free_port()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def shop(stack: EmbeddedStack) -> AsyncIterator[Shop]:
    """A client of the stack with every scope."""
    async with Shop(stack.url, bearer(stack)) as client:
        yield client
