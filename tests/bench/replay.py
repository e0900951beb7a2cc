"""Rebuilding the orders from the stores, against reading and decoding them and writing the documents once.

`python -m tests.bench.replay [EVENTS…]`: several numbers show that time is linear and memory flat.
"""

from __future__ import annotations

import asyncio
import gc
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import psutil
import uvloop
from nats.aio.client import Client

from contexts.ordering.events import OrderingEvent
from contexts.payments.events import PaymentsEvent
from contexts.shipping.events import ShippingEvent
from infra.embedded.mongo import mongo_server
from infra.embedded.servers import nats_server
from infra.event_log.client import LogClient
from infra.event_log.server import LogService
from infra.event_store.store import EventStore
from infra.messages.codec import EventCodec
from infra.mongo import Mongo
from infra.nats.connection import connect
from infra.settings import Settings
from infra.sockets import free_port
from read_models.orders import ORDERS
from read_models.replay.start import begin
from read_models.replay.worker import Worker
from tests.bench.projection import LIFE, lives
from tests.bench.table import Row, show
from tests.read_models.logs import Logs, stored

EVENTS = 45_000
LEAST_RATIO = 0.6

CODECS = {
    "ordering": EventCodec(OrderingEvent),
    "payments": EventCodec(PaymentsEvent),
    "shipping": EventCodec(ShippingEvent),
}


async def run(sizes: Sequence[int] = (EVENTS,)) -> list[Row]:
    """Measure on fresh servers, each size on its own."""
    return [await _measure(events) for events in sizes]


async def _measure(events: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="orderfold-bench-") as name:
        folder = Path(name)
        nats_port, mongo_port = free_port(), free_port()
        servers = [
            nats_server(folder / "nats", nats_port, free_port()),
            mongo_server(folder / "mongo", mongo_port),
        ]
        settings = Settings(
            nats_url=f"nats://127.0.0.1:{nats_port}", mongo_url=f"mongodb://127.0.0.1:{mongo_port}"
        )
        try:
            for server in servers:
                server.start()
            nats = await connect(settings, "bench")
            try:
                return await _compare(nats, settings, folder / "stores", events)
            finally:
                await nats.close()
        finally:
            for server in servers:
                server.kill()


async def _compare(nats: Client, settings: Settings, stores: Path, events: int) -> Row:
    written = await _happen(nats, stores, events)
    # A store belongs to one process: the contexts' own, which serves it; the bare reading has a copy.
    copy = stores.with_name("copy")
    shutil.copytree(stores, copy)
    async with _contexts(nats, stores, settings):
        # In turns, since the machine's speed changes while it works.
        replayed, bare, grown = [], [], []
        for number in range(2):
            with _database(settings, f"replayed_{number}") as mongo:
                took, memory = await _replay(mongo, nats)
                documents = await stored(mongo, f"{ORDERS.name}@2")
            replayed.append(took)
            grown.append(memory)
            with _database(settings, f"bare_{number}") as mongo:
                bare.append(await _bare(mongo, copy, documents))
    return Row(
        # The first time: later the documents that were compared are still in memory.
        f"replaying {written:,} order events into {len(documents):,} documents "
        f"(the worker grew by {grown[0] / 1e6:,.0f} MB at most)",
        f"{written / min(replayed):,.0f} events/s",
        f"{written / min(bare):,.0f} events/s read from the store and decoded, each document written once",
        min(bare) / min(replayed),
        LEAST_RATIO,
    )


@contextmanager
def _database(settings: Settings, name: str) -> Iterator[Mongo]:
    """An empty database; deleting one of a hundred thousand documents takes longer than the driver waits."""
    mongo = Mongo(msgspec.structs.replace(settings, mongo_database=name))
    try:
        yield mongo
    finally:
        mongo.close()


async def _happen(nats: Client, stores: Path, events: int) -> int:
    logs = Logs(nats, stores)
    try:
        written = 0
        for moment in lives(events // len(LIFE)):
            await logs.happened(*moment)
            written += len(moment)
        return written
    finally:
        await logs.stop()


@asynccontextmanager
async def _contexts(nats: Client, stores: Path, settings: Settings) -> AsyncIterator[None]:
    """The contexts' process, as far as a replay can tell."""
    serving = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.replay", "--serve", str(stores), settings.nats_url
    )
    try:
        for context in CODECS:
            await LogClient(nats, timeout=20).heads(context)
        yield
    finally:
        serving.terminate()
        await serving.wait()


async def serve(stores: Path, nats_url: str) -> None:
    """Serve the contexts' logs until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    nats = await connect(Settings(nats_url=nats_url), "contexts")
    for context in CODECS:
        await LogService(nats, await EventStore.open(context, f"sqlite:{stores / context}.db")).start()
    await stopping.wait()


async def _replay(mongo: Mongo, nats: Client) -> tuple[float, int]:
    """Seconds it took, and by how many bytes the process grew at most meanwhile."""
    process = psutil.Process()
    gc.collect()
    before = peak = process.memory_info().rss

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(0.05)

    began = time.perf_counter()
    watching = asyncio.create_task(watch())
    await begin(mongo, [ORDERS], limit=None, switch=False)
    await Worker(mongo, LogClient(nats), ORDERS).run(asyncio.Event())
    took = time.perf_counter() - began
    watching.cancel()
    return took, peak - before


async def _bare(mongo: Mongo, stores: Path, documents: dict[str, bytes]) -> float:
    """Read, decode and forget; write the documents as if they fell from the sky."""
    began = time.perf_counter()
    await mongo.ensure_indexes("bare", ORDERS.indexes)
    for context, codec in CODECS.items():
        store = await EventStore.open(context, f"sqlite:{stores / context}.db")
        after = 0
        while events := await store.read_log(after, 1000):
            for event in events:
                codec.decode(event.name, event.data)
            after = events[-1].position
        await store.close()
    items = list(documents.values())
    for first in range(0, len(items), 1000):
        await mongo.insert("bare", items[first : first + 1000])
    return time.perf_counter() - began


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        uvloop.run(serve(Path(sys.argv[2]), sys.argv[3]))
    else:
        show(uvloop.run(run([int(text) for text in sys.argv[1:]] or (EVENTS,))))
