"""The fulfilment process on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from tests.contexts.fulfilment.process import Stage, stage

if TYPE_CHECKING:
    from tests.conftest import Server


@pytest.fixture
async def fulfilment(store_url: str, nats: Server) -> AsyncIterator[Stage]:
    """A fresh store and nats-server, and contexts that accept every command unless told otherwise."""
    async with stage(store_url, nats.url) as ready:
        yield ready
