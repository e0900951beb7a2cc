"""Projecting a backlog of orders, against reading and decoding it and writing its documents once.

`python -m tests.bench.projection [EVENTS]`
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from nats.aio.client import Client

from contexts.ordering.events import OrderingEvent
from contexts.payments.events import PaymentsEvent
from contexts.shipping.events import ShippingEvent
from infra.embedded.mongo import mongo_server
from infra.embedded.servers import nats_server
from infra.event_log.subscription import LogReader
from infra.messages.codec import EventCodec
from infra.messages.events import PARTITIONS
from infra.mongo import Mongo, replacing
from infra.nats.connection import connect
from infra.settings import Settings
from infra.sockets import free_port
from read_models.orders import ORDERS
from read_models.projection.projector import Projector
from tests.bench.table import Row, show
from tests.read_models import examples
from tests.read_models.logs import Logs, caught_up, eventually, stored

EVENTS = 20_000
AT_ONCE = 100
"""Orders under way at the same time: each one's events are that far apart in the logs."""
LEAST_RATIO = 0.5

LIFE = (
    ("order", examples.placed()),
    ("payment", examples.authorized),
    ("order", examples.confirmed()),
    ("shipment", examples.parcel_created),
    ("shipment", examples.parcel_dispatched),
    ("payment", examples.captured),
    ("order", examples.dispatched),
    ("shipment", examples.parcel_delivered),
    ("order", examples.completed),
)


async def run(events: int = EVENTS) -> list[Row]:
    """Measure on fresh servers."""
    with tempfile.TemporaryDirectory(prefix="orderfold-bench-") as folder:
        nats_port, mongo_port = free_port(), free_port()
        servers = [
            nats_server(Path(folder) / "nats", nats_port, free_port()),
            mongo_server(Path(folder) / "mongo", mongo_port),
        ]
        settings = Settings(
            nats_url=f"nats://127.0.0.1:{nats_port}", mongo_url=f"mongodb://127.0.0.1:{mongo_port}"
        )
        try:
            for server in servers:
                server.start()
            return await _measure(settings, Path(folder) / "stores", events)
        finally:
            for server in servers:
                server.kill()


async def _measure(settings: Settings, folder: Path, events: int) -> list[Row]:
    mongo = Mongo(settings)
    nats = await connect(settings, "bench")
    logs = Logs(nats, folder)
    try:
        written = 0
        for moment in lives(events // len(LIFE)):
            await logs.happened(*moment)
            written += len(moment)
        await eventually(lambda: _relayed(nats, written))
        # In turns, since the machine's speed changes while it works.
        projected = [await _project(mongo, nats, logs)]
        documents = await stored(mongo, "orders")
        bare = [await _bare(mongo, nats, written, documents)]
        projected.append(await _project(mongo, nats, logs))
        bare.append(await _bare(mongo, nats, written, documents))
        assert await stored(mongo, "orders") == documents
        ratio = min(bare) / min(projected)
        return [
            Row(
                f"projecting {written:,} order events into {len(documents):,} documents",
                f"{written / min(projected):,.0f} events/s",
                f"{written / min(bare):,.0f} events/s read and decoded, each document written once",
                ratio,
                LEAST_RATIO,
            )
        ]
    finally:
        await logs.stop()
        await nats.close()
        mongo.close()


def lives(orders: int) -> Iterator[list[tuple[str, msgspec.Struct]]]:
    """The orders' lives, step by step, as many orders at once as are under way."""
    for first in range(0, orders, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, orders))
        for category, event in LIFE:
            yield [(f"{category}-{n}", msgspec.structs.replace(event, order_id=str(n))) for n in numbers]


async def _relayed(nats: Client, events: int) -> bool:
    streams = await nats.jetstream().streams_info()
    return sum(stream.state.messages for stream in streams) >= events


async def _project(mongo: Mongo, nats: Client, logs: Logs) -> float:
    await mongo.drop_database()
    reader = LogReader(nats, "rm-orders", ORDERS.contexts)
    projector = Projector(mongo, reader, ORDERS)
    stopping = asyncio.Event()
    began = time.perf_counter()
    running = asyncio.create_task(projector.run(stopping))
    await caught_up(mongo, logs, ORDERS)
    took = time.perf_counter() - began
    stopping.set()
    await running
    return took


async def _bare(mongo: Mongo, nats: Client, events: int, documents: dict[str, bytes]) -> float:
    """Read, decode and forget; write the documents as if they fell from the sky."""
    await mongo.drop_database()
    await mongo.ensure_indexes("orders", ORDERS.indexes)
    codecs = {
        "ordering": EventCodec(OrderingEvent),
        "payments": EventCodec(PaymentsEvent),
        "shipping": EventCodec(ShippingEvent),
    }
    reader = LogReader(nats, "bench-bare", ORDERS.contexts, range(PARTITIONS))
    began = time.perf_counter()
    await reader.start({})
    read = 0
    while read < events:
        batch = await reader.next(500, 10)
        assert batch is not None
        for event in batch.events:
            codecs[event.context].decode(event.name, event.data)
        await reader.done(batch)
        read += len(batch.events)
    items: list[tuple[str, Any]] = list(documents.items())
    for first in range(0, len(items), 1000):
        await mongo.write("orders", [replacing(key, data) for key, data in items[first : first + 1000]])
    took = time.perf_counter() - began
    await reader.stop()
    return took


if __name__ == "__main__":
    show(uvloop.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS)))
