"""Replays as tests run them: begun, worked on, and the projectors that keep their versions up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from nats.aio.client import Client

from contexts.fulfilment.events import FulfilmentAbandoned
from infra.event_log.client import LogClient
from infra.messages.events import PARTITIONS
from infra.mongo import Mongo
from read_models.projection.model import ReadModel
from read_models.replay.start import begin
from read_models.replay.state import Replay
from read_models.replay.worker import Worker
from read_models.workers.supervisor import Projectors
from tests.read_models import examples


async def replayed(nats: Client, mongo: Mongo, model: ReadModel[Any], *, batch: int = 50) -> Replay:
    """Replay a model to its end."""
    await begin(mongo, [model], limit=None, switch=False)
    return await Worker(mongo, LogClient(nats), model, batch=batch).run(asyncio.Event())


@asynccontextmanager
async def projectors(
    nats: Client, mongo: Mongo, *models: ReadModel[Any], partitions: Any = range(PARTITIONS)
) -> AsyncIterator[None]:
    """The projectors' process meanwhile; fails if it ended by itself."""
    ending = asyncio.Event()
    running = asyncio.create_task(Projectors(nats, mongo, models, partitions).run(ending))
    try:
        yield
        assert not running.done()
    finally:
        ending.set()
        await running


def shop_opened() -> list[tuple[str, msgspec.Struct]]:
    """What there is before the first order, and a fulfilment: something for every read model."""
    return [
        ("product-MUG", examples.added),
        ("stock-MUG", examples.received),
        ("stock-MUG", examples.allocated),
        ("customer-ann", examples.registered),
        ("fulfilment-0", FulfilmentAbandoned(order_id="0", reason="by hand")),
    ]


def lives(first: int, orders: int) -> list[tuple[str, msgspec.Struct]]:
    """What happens to some orders: each is placed, paid and confirmed, every third is cancelled."""
    happened: list[tuple[str, msgspec.Struct]] = []
    for number in range(first, first + orders):
        key = str(number)
        happened += [
            (f"order-{key}", examples.placed(key)),
            (f"payment-{key}", examples.authorized),
            (f"order-{key}", examples.confirmed(key)),
            (f"shipment-{key}", examples.parcel_created),
        ]
        if number % 3 == 0:
            happened.append((f"order-{key}", examples.cancelled(key, examples.sale())))
    return happened
