"""What differs between two versions of a read model, and what only seems to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from contexts.inventory.events import StockReceived
from contexts.ordering.events import OrderCancelled
from contexts.payments.events import PaymentAuthorized
from infra.event_log.client import LogClient
from infra.mongo import Mongo, Write, encode_document, replacing
from read_models import orders, stock
from read_models.orders import ORDERS, Order
from read_models.projection.model import Occurrence
from read_models.replay import diff
from read_models.replay.diff import compare, sides_of
from read_models.replay.errors import ReplayFailed
from read_models.replay.value_diff import Comparison, differing
from read_models.stock import STOCK, Stock
from tests.read_models import examples
from tests.read_models.logs import Logs, caught_up, stored
from tests.read_models.replay.replaying import lives, projectors, replayed
from tests.read_models.replay.versions import Command, project_all, two_versions

pytestmark = pytest.mark.fallback

GREEN = "stock@2"


def received(sku: str, quantity: int = 10) -> tuple[str, msgspec.Struct]:
    return f"stock-{sku}", StockReceived(sku=sku, quantity=quantity)


def fragile(document: Stock | None, occurrence: Occurrence) -> Stock | None:
    """Another projection: a tenth is always broken, and of VASE nothing is kept."""
    if occurrence.key == "VASE":
        return None
    changed = stock.project(document, occurrence)
    return msgspec.structs.replace(changed, on_hand=changed.on_hand * 9 // 10)


FRAGILE = replace(STOCK, project=fragile)


def test_values_differ_where_they_are_innermost() -> None:
    old = {"a": 1, "p": {"x": 1, "y": 2}, "lines": [{"q": 1, "s": 1}, {"q": 2, "s": 1}], "tags": ["a"]}
    new = {"a": 1, "p": {"x": 3}, "lines": [{"q": 1, "s": 1}, {"q": 5, "s": 1}], "tags": ["a", "b"], "n": 0}
    assert list(differing(old, new)) == [
        ("p.x", 1, 3),
        ("p.y", 2, msgspec.UNSET),
        ("lines[].q", 2, 5),
        ("tags", ["a"], ["a", "b"]),
        ("n", msgspec.UNSET, 0),
    ]


def test_documents_of_equal_values_in_another_order_differ_in_their_stored_form() -> None:
    comparison = Comparison()
    comparison.add("k", encode_document("k", {"a": 1, "b": 2}), encode_document("k", {"b": 2, "a": 1}))
    assert (comparison.differences, list(comparison.fields)) == (1, ["(order of fields)"])


async def test_versions_of_the_same_projection_are_the_same(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.happened(*(received(f"SKU{number}") for number in range(50)))
    for collection in ("stock", GREEN):
        await project_all(mongo, connection, logs, STOCK, collection)
    found = await compare(mongo, LogClient(connection), STOCK, "stock", GREEN)
    assert found.clean
    assert found.comparison.same == found.blue.documents == found.green.documents == 50
    assert found.blue.checksum == found.green.checksum


async def test_a_changed_projection_shows_exactly_what_it_changes(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.happened(received("MUG", 10), received("CUP", 100), received("VASE"))
    await logs.happened(("stock-FREE", examples.freed))
    await project_all(mongo, connection, logs, STOCK, "stock")
    await project_all(mongo, connection, logs, FRAGILE, GREEN)
    found = await compare(mongo, LogClient(connection), FRAGILE, "stock", GREEN)
    assert not found.clean
    assert found.blue.checksum != found.green.checksum
    comparison = found.comparison
    assert (comparison.same, comparison.added.documents) == (1, 0)
    assert comparison.removed.keys == ["VASE"]
    assert comparison.changed.keys == ["CUP", "MUG"]
    (field,) = comparison.fields
    assert field == "on_hand"
    assert [(e.key, e.old, e.new) for e in comparison.fields[field].examples] == [
        ("CUP", 100, 90),
        ("MUG", 10, 9),
    ]
    reverse = await compare(mongo, LogClient(connection), STOCK, GREEN, "stock")
    assert reverse.comparison.added.keys == ["VASE"]


async def test_a_version_that_is_late_does_not_differ_for_it(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    """Each is late in another context, and the late events also begin a document and sort before others."""
    await logs.open(*ORDERS.contexts)
    await logs.happened(("order-42", examples.placed()), ("order-50", examples.placed("50")))
    for collection in ("orders", "orders@2"):
        await project_all(mongo, connection, logs, ORDERS, collection)
    await logs.happened(("payment-42", examples.authorized), ("order-1", examples.placed("1")))
    await logs.happened(("order-99", examples.placed("99")))
    await project_all(mongo, connection, logs, ORDERS, "orders")
    log = LogClient(connection)
    found = await compare(mongo, log, ORDERS, "orders", "orders@2")
    assert found.clean
    assert (found.blue.caught_up, found.green.caught_up) == (0, 3)
    assert found.blue.checksum == found.green.checksum
    assert found.green.documents == 4
    found = await compare(mongo, log, ORDERS, "orders@2", "orders")
    assert (found.clean, found.blue.caught_up) == (True, 3)


async def test_a_version_that_is_far_behind_is_not_compared(
    mongo: Mongo, connection: Client, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff, "MOST_BEHIND", 4)
    await logs.happened(*(received(f"SKU{number}") for number in range(5)))
    await project_all(mongo, connection, logs, STOCK, "stock")
    with pytest.raises(ReplayFailed, match="stock@2 is more than 4 events behind"):
        await compare(mongo, LogClient(connection), STOCK, "stock", GREEN)


async def test_what_is_built_is_compared_with_what_is_live(mongo: Mongo) -> None:
    with pytest.raises(ReplayFailed, match="`replay start stock` builds another"):
        await sides_of(mongo, "stock")
    await two_versions(mongo, "stock")
    assert await sides_of(mongo, "stock") == ("stock", GREEN)


async def test_the_command_tells_by_its_status(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    await logs.happened(received("MUG"), received("CUP"))
    for collection in ("stock", GREEN):
        await project_all(mongo, connection, logs, STOCK, collection)
    alone = await replay("diff", "stock")
    assert (alone.status, alone.out) == (2, "")
    assert alone.err.count("\n") == 1
    await two_versions(mongo, "stock")
    same = await replay("diff", "stock")
    assert (same.status, same.err) == (0, "")
    assert "every document is the same" in same.out
    (document,) = await mongo.find(GREEN, {"_id": "MUG"})
    await mongo.write(GREEN, [_spoilt(document, on_hand=11)])
    different = await replay("diff", "stock", "--json")
    assert different.status == 1
    assert different.json["clean"] is False
    assert different.json["comparison"]["fields"] == {
        "on_hand": {"documents": 1, "examples": [{"key": "MUG", "old": 10, "new": 11}]}
    }
    shown = await replay("diff", "stock")
    assert (shown.status, "on_hand" in shown.out, "MUG" in shown.out) == (1, True, True)
    unknown = await replay("diff", "stocks")
    assert (unknown.status, unknown.err.count("\n")) == (2, 1)


def net(document: Order | None, occurrence: Occurrence) -> Order:
    """Another projection: cancellations have a reason of ours, and what was authorised counts double."""
    changed = orders.project(document, occurrence)
    match occurrence.event:
        case OrderCancelled():
            return msgspec.structs.replace(changed, cancelled_reason="given up")
        case PaymentAuthorized():
            payment = msgspec.structs.replace(changed.payment, authorized=2 * changed.payment.authorized)
            return msgspec.structs.replace(changed, payment=payment)
        case _:
            return changed


async def test_a_rebuild_with_a_changed_projection_differs_in_exactly_what_was_changed(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    """Rebuilt as a replay does, compared as an operator does: those documents and fields, and no others."""
    await logs.open(*ORDERS.contexts)
    unpaid = [("order-7000", examples.placed("7000")), ("order-7001", examples.placed("7001"))]
    await logs.happened(*lives(0, 30), *unpaid)
    async with projectors(connection, mongo, ORDERS):
        await caught_up(mongo, logs, ORDERS)
    await replayed(connection, mongo, replace(ORDERS, project=net))
    different = await replay("diff", "orders", "--json")
    assert (different.status, different.err) == (1, "")
    found = different.json["comparison"]
    assert (found["same"], found["added"]["documents"], found["removed"]["documents"]) == (2, 0, 0)
    assert found["changed"]["documents"] == 30
    counts = {name: field["documents"] for name, field in found["fields"].items()}
    assert counts == {"payment.authorized": 30, "cancelled_reason": 10}
    cancelled = found["fields"]["cancelled_reason"]["examples"]
    assert {example["new"] for example in cancelled} == {"given up"}
    assert all(int(example["key"]) % 3 == 0 for example in cancelled)
    assert all(
        example["new"] == 2 * example["old"] for example in found["fields"]["payment.authorized"]["examples"]
    )
    blue, green = await stored(mongo, "orders"), await stored(mongo, "orders@2")
    assert {key for key in blue if blue[key] != green[key]} == {str(number) for number in range(30)}


def _spoilt(document: dict[str, Any], **changed: Any) -> Write:
    key = document.pop("_id")
    return replacing(key, encode_document(key, {**document, **changed}))
