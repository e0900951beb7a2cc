"""An open store, and appends in one line."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infra.event_store.store import EventStore


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[EventStore]:
    """A fresh store, once on each database."""
    opened = await EventStore.open("ordering", store_url)
    yield opened
    await opened.close()
