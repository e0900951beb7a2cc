"""A collector of traces for tests that trace in their own process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.infra.observability.tracing.collector import Collector, collecting


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector at work."""
    async with collecting() as running:
        yield running
