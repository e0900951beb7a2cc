"""A store that is closed has everything in its file, and closes also when its database no longer answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.event_store.store import EventStore, StoreUnavailable
from tests.infra.event_store.messages import append, part
from tests.support.deadlines import HOLDS_SECONDS


class SilentLine:
    """A TCP line to PostgreSQL that may go silent: nothing is refused, nothing comes through."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = asyncio.Event()
        self._open.set()
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def fall_silent(self) -> None:
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = {
            asyncio.create_task(self._pump(reader, back)),
            asyncio.create_task(self._pump(there, writer)),
        }
        self._connections |= pumps
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, back):
            one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._open.wait()
            writer.write(data)

    def close(self) -> None:
        for pump in self._connections:
            pump.cancel()


@pytest.fixture
async def line(postgres_store: str) -> AsyncIterator[tuple[SilentLine, str]]:
    """The line, and the address of a fresh store over it."""
    port = urlsplit(postgres_store).port
    assert port is not None
    line = SilentLine(port)
    server = await line.listen()
    yield line, postgres_store.replace(f":{port}/", f":{server.sockets[0].getsockname()[1]}/")
    line.close()
    server.close()


async def test_connections_are_closed_one_after_the_other_so_that_all_is_in_the_file(
    sqlite_store: str,
) -> None:
    store = await EventStore.open("ordering", sqlite_store)
    await store.append(append(part("order-1", 0, "OrderPlaced")))
    await store.head()
    closing = threading.Lock()

    def alone(close: Callable[[], None]) -> None:
        assert closing.acquire(blocking=False), "another one is being closed"
        # Whoever is closed at the same time has come by then.
        time.sleep(0.05)
        close()
        closing.release()

    for lane in store._lanes:
        lane.connection.close = partial(alone, lane.connection.close)  # type: ignore[method-assign]
    await store.close()
    file = Path(sqlite_store.removeprefix("sqlite:"))
    assert not file.with_name(file.name + "-wal").exists()


async def test_a_store_whose_database_falls_silent_is_closed(line: tuple[SilentLine, str]) -> None:
    silent, url = line
    store = await EventStore.open("ordering", url)
    assert await store.head() == 0
    silent.fall_silent()
    reads = [asyncio.create_task(store.head()), asyncio.create_task(store.load("order-1"))]
    await asyncio.sleep(0)
    async with asyncio.timeout(HOLDS_SECONDS):
        await store.close()
    for read in reads:
        with pytest.raises(StoreUnavailable):
            await read
