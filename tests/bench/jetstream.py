"""Events per second through the relay and through a reader: `python -m tests.bench.jetstream [EVENTS]`."""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from infra.embedded.servers import nats_server
from infra.event_log.relay import Relay
from infra.event_log.server import LogService
from infra.event_log.subscription import LogReader
from infra.event_store.store import EventStore
from infra.nats.connection import connect
from infra.settings import Settings
from infra.sockets import free_port
from tests.bench.table import Row, show
from tests.infra.event_log.ordering_log import CONTEXT, OrderingLog, running

BYTES = 400


async def main(events: int, folder: Path) -> None:
    port = free_port()
    server = nats_server(folder / "nats", port, free_port())
    server.start()
    store = await EventStore.open(CONTEXT, f"sqlite:{folder / 'store.db'}")
    nats = await connect(Settings(nats_url=f"nats://127.0.0.1:{port}"), "bench")
    try:
        log = OrderingLog(store)
        for _ in range(events // 1_000):
            await log.add(1_000, pad=BYTES)
        relay = Relay(nats, store)
        began = _clock()
        async with running(relay.run()):
            while relay.published < events:
                await asyncio.sleep(0.005)
            relayed = began(events)
            await asyncio.sleep(0)
        service = LogService(nats, store)
        rows = [Row(f"relay, {BYTES} bytes", relayed)]
        rows.append(Row("reader, from the stream", await _read(nats, events)))
        await service.start()
        await nats.jetstream().delete_stream("EV_ordering")
        rows.append(Row("reader, from the store", await _read(nats, events)))
        await service.stop()
        show(rows)
    finally:
        await nats.close()
        await store.close()
        server.kill()


async def _read(nats: object, events: int) -> str:
    reader = LogReader(nats, "bench", [CONTEXT], quiet_seconds=0.0)  # type: ignore[arg-type]
    began = _clock()
    await reader.start({})
    read = 0
    while read < events:
        batch = await reader.next(500)
        assert batch is not None
        read += len(batch.events)
        await reader.done(batch)
    await reader.stop()
    return began(events)


def _clock() -> Callable[[int], str]:
    wall, cpu = time.perf_counter(), _cpu()

    def rate(events: int) -> str:
        return (
            f"{events / (time.perf_counter() - wall):,.0f} events/s, "
            f"{(_cpu() - cpu) / events * 1e6:.1f} µs CPU an event"
        )

    return rate


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, Path(name)))
