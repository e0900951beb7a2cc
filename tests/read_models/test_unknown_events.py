"""An event that a newer build has recorded: told of at once, and in the documents after the upgrade."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from nats.aio.client import Client

from contexts.inventory.events import InventoryEvent, StockReceived
from contexts.wire_names import EVENTS
from infra.mongo import Mongo
from infra.observability.metrics.registry import REGISTRY
from read_models import stock
from read_models.projection.model import Occurrence, Source
from read_models.stock import STOCK, Stock
from tests.contracts.test_events import CODECS
from tests.read_models import examples
from tests.read_models.logs import Logs, eventually
from tests.read_models.replay.replaying import projectors, replayed
from tests.read_models.replay.versions import at_head

NEWER = "inventory.StockFound"


class StockFound(StockReceived, frozen=True, tag=NEWER):
    """What the newer build records."""


def project(document: Stock | None, occurrence: Occurrence) -> Stock | None:
    """The newer build's projection."""
    event = occurrence.event
    if isinstance(event, StockFound):
        received = StockReceived(sku=event.sku, quantity=event.quantity, reference=event.reference)
        occurrence = msgspec.structs.replace(occurrence, event=received)
    return stock.project(document, occurrence)


UPGRADED = replace(STOCK, sources=(Source("inventory", InventoryEvent | StockFound),), project=project)


def test_every_event_there_is_is_known() -> None:
    assert {context: codec.names for context, codec in CODECS.items()} == dict(EVENTS)


def counted() -> float:
    return REGISTRY.get_sample_value("orderfold_unknown_events_total", {"reader": "stock"}) or 0.0


async def test_an_event_of_a_newer_type_is_counted_and_is_in_the_documents_after_the_upgrade(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    before = counted()
    async with projectors(connection, mongo, STOCK):
        await logs.happened(("stock-MUG", examples.received))
        await logs.record(
            ("stock-MUG", NEWER, msgspec.json.encode(StockFound(sku="MUG", quantity=7, reference="found")))
        )
        await at_head(mongo, logs, STOCK, "stock")

        async def told() -> bool:
            return counted() == before + 1

        await eventually(told)
    async with projectors(connection, mongo, UPGRADED):
        await replayed(connection, mongo, UPGRADED)
        await at_head(mongo, logs, UPGRADED, "stock@2")
        (document,) = await mongo.find("stock@2", {})
    assert document["on_hand"] == 17
