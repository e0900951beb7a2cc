"""An event that cannot be applied holds up its own document and no other."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from infra.mongo import Mongo, encode_document, replacing
from read_models.orders import ORDERS
from read_models.projection import dead_letters
from read_models.stock import STOCK
from tests.read_models import examples
from tests.read_models.logs import Logs, caught_up, projecting

BROKEN = b'{"type":"ordering.OrderConfirmed"}'


async def test_a_broken_event_parks_its_document_and_what_follows_for_it(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.open(*ORDERS.contexts)
    async with projecting(mongo, connection, ORDERS):
        await logs.happened(("order-42", examples.placed()))
        await logs.record(("order-42", "ordering.OrderConfirmed", BROKEN))
        await caught_up(mongo, logs, ORDERS)
        await logs.happened(("payment-42", examples.authorized), ("order-43", examples.placed("43")))
        await caught_up(mongo, logs, ORDERS)
    (order,) = await mongo.find("orders", {"_id": "42"})
    assert (order["status"], order["payment"]["status"], order["version"]) == ("placed", "none", 1)
    assert await mongo.find("orders", {"_id": "43"})

    (letter,) = await dead_letters.list_parked(mongo, "orders")
    assert (letter.key, letter.event_id, letter.waiting) == ("42", "order-42@2", 1)
    assert "OrderConfirmed" in letter.error
    assert letter.trace is not None
    events = await dead_letters.parked_events(mongo, "orders", "42")
    assert [(event.event_id, event.data) for event in events] == [
        ("order-42@2", BROKEN),
        ("payment-42@1", msgspec.json.encode(examples.authorized)),
    ]


async def test_a_parked_document_stays_parked_after_a_restart(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.happened(("stock-MUG", examples.received))
    await logs.record(("stock-MUG", "inventory.StockReceived", b"{"))
    async with projecting(mongo, connection, STOCK):
        await caught_up(mongo, logs, STOCK)
    await logs.happened(("stock-MUG", examples.received), ("stock-CUP", examples.received))
    async with projecting(mongo, connection, STOCK):
        await caught_up(mongo, logs, STOCK)
    on_hand = {item["_id"]: item["on_hand"] for item in await mongo.find("stock", {})}
    assert on_hand == {"MUG": 10, "CUP": 10}
    (letter,) = await dead_letters.list_parked(mongo, "stock")
    assert letter.waiting == 1


async def test_a_stored_document_of_another_form_parks_its_key(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    """Such as one an older release wrote: it must not stop the others."""
    await logs.happened(("stock-MUG", examples.received))
    async with projecting(mongo, connection, STOCK):
        await caught_up(mongo, logs, STOCK)
    await mongo.write("stock", [replacing("MUG", encode_document("MUG", {"n": 1}))])
    await logs.happened(("stock-MUG", examples.received), ("stock-CUP", examples.received))
    async with projecting(mongo, connection, STOCK):
        await caught_up(mongo, logs, STOCK)
    assert [letter.key for letter in await dead_letters.list_parked(mongo, "stock")] == ["MUG"]
    assert await mongo.find("stock", {"_id": "CUP"})
