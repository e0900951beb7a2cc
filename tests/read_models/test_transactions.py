"""One batch is one transaction: it happens once, wholly, and never over what somebody else did meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from nats.aio.client import Client

from infra.event_log.subscription import Batch, LogReader
from infra.messages.event_headers import Delivered
from infra.messages.events import Checkpoint, CheckpointMoved
from infra.mongo import Mongo, TransactionConflict
from read_models.orders import ORDERS
from read_models.projection.model import ReadModel
from read_models.projection.projector import Projector
from read_models.sales import SALES
from tests.read_models import examples
from tests.read_models.history import by_context, history

pytestmark = pytest.mark.fallback


def batch(*events: Delivered) -> Batch:
    """Events as the reader hands them out."""
    moved = {(event.context, event.partition): Checkpoint(position=event.position) for event in events}
    return Batch(list(events), moved, {})


@asynccontextmanager
async def started(
    mongo: Mongo, nats: Client, model: ReadModel[Any], number: int = 2
) -> AsyncIterator[list[Projector[Any]]]:
    """Projectors of the same partitions that have read the checkpoints; their batches come from the test."""
    async with AsyncExitStack() as stack:
        projectors = []
        for each in range(number):
            reader = LogReader(nats, f"test-{each}", model.contexts)
            projector = Projector(mongo, reader, model)
            await projector.start()
            stack.push_async_callback(projector.close)
            stack.push_async_callback(reader.stop)
            projectors.append(projector)
        yield projectors


async def sold(mongo: Mongo) -> int:
    return sum(day["orders"] for day in await mongo.find("sales", {}))


async def test_a_batch_that_was_applied_is_refused_wholly(mongo: Mongo, connection: Client) -> None:
    (events,) = by_context(
        history(("order-42", examples.confirmed()), ("order-43", examples.confirmed("43")))
    )
    async with started(mongo, connection, SALES) as (one, other):
        await one._apply(batch(events[0]))
        with pytest.raises(CheckpointMoved):
            await other._apply(batch(*events))
        assert await sold(mongo) == 1
        await other.start()
        await other._apply(batch(events[1]))
        assert await sold(mongo) == 2


async def test_of_two_who_apply_the_same_at_the_same_time_one_does(mongo: Mongo, connection: Client) -> None:
    events = history(*((f"order-{number}", examples.confirmed(str(number))) for number in range(20)))
    async with started(mongo, connection, SALES, 4) as projectors:
        results = await asyncio.gather(
            *(projector._apply(batch(*events)) for projector in projectors), return_exceptions=True
        )
    refused = [result for result in results if result is not None]
    assert len(refused) == 3
    assert all(isinstance(result, CheckpointMoved | TransactionConflict) for result in refused)
    assert await sold(mongo) == 20


async def test_what_another_did_for_another_context_is_not_overwritten(
    mongo: Mongo, connection: Client
) -> None:
    """The document one has in memory is old, although nobody has moved the checkpoint that it moves."""
    placed, authorized, confirmed = history(
        ("order-42", examples.placed()),
        ("payment-42", examples.authorized),
        ("order-42", examples.confirmed()),
    )
    async with started(mongo, connection, ORDERS) as (one, other):
        await one._apply(batch(placed))
        await other.start()
        await other._apply(batch(authorized))
        with pytest.raises(CheckpointMoved):
            await one._apply(batch(confirmed))
        await one.start()
        await one._apply(batch(confirmed))
    (order,) = await mongo.find("orders", {})
    assert (order["status"], order["payment"]["status"]) == ("confirmed", "authorized")


async def test_a_document_is_read_once_and_then_known(mongo: Mongo, connection: Client) -> None:
    first, second, third = history(
        ("order-42", examples.placed()), ("order-42", examples.confirmed()), ("order-42", examples.dispatched)
    )
    async with started(mongo, connection, ORDERS, 1) as (projector,):
        await projector._apply(batch(first))
        await projector._apply(batch(second))
        await projector.start()
        await projector._apply(batch(third))
    (order,) = await mongo.find("orders", {})
    assert (order["status"], order["version"], order["total"]) == ("dispatched", 3, 500)
