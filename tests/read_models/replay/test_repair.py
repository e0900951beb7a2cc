"""Documents repaired in place: those asked for and no others, while projectors go on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from nats.aio.client import Client

from infra.event_log.client import LogClient
from infra.mongo import Mongo, encode_document, replacing
from read_models import orders, sales, stock
from read_models.orders import ORDERS, Order
from read_models.projection.dead_letters import list_parked
from read_models.projection.model import Occurrence
from read_models.replay import repair as repairing
from read_models.replay.repair import Repair, repair
from read_models.replay.selection import Scope, ScopeInvalid, select
from read_models.sales import SALES, DailySales
from read_models.stock import STOCK, Stock
from tests.read_models import examples
from tests.read_models.logs import Logs, stored
from tests.read_models.replay.versions import Command, at_head, kept_up_to_date, project_all

pytestmark = pytest.mark.fallback

BROKEN = b'{"type":"ordering.OrderConfirmed"}'


def wrong_stock(document: Stock | None, occurrence: Occurrence) -> Stock:
    """A projection that counts one unit too many."""
    changed = stock.project(document, occurrence)
    return msgspec.structs.replace(changed, on_hand=changed.on_hand + 1)


def wrong_order(document: Order | None, occurrence: Occurrence) -> Order:
    """A projection that takes all money for dollars."""
    return msgspec.structs.replace(orders.project(document, occurrence), currency="USD")


def wrong_sales(document: DailySales | None, occurrence: Occurrence) -> DailySales | None:
    """A projection that forgets what was sold before."""
    return sales.project(None, occurrence)


WRONG_STOCK = replace(STOCK, project=wrong_stock)
WRONG_ORDERS = replace(ORDERS, project=wrong_order)
WRONG_SALES = replace(SALES, project=wrong_sales)


async def wrongly_ordered(mongo: Mongo, connection: Client, logs: Logs, *numbers: int) -> None:
    """Orders of which the documents are wrong."""
    await logs.open(*ORDERS.contexts)
    for number in numbers:
        await logs.happened((f"order-{number}", examples.placed(str(number))))
    await project_all(mongo, connection, logs, WRONG_ORDERS, "orders")


async def dollars(mongo: Mongo) -> set[str]:
    """The orders that are still wrong."""
    return {item["_id"] for item in await mongo.find("orders", {"currency": "USD"})}


async def repaired(mongo: Mongo, connection: Client, scope: Scope) -> Repair:
    log = LogClient(connection)
    return await repair(mongo, log, ORDERS, "orders", await select(log, ORDERS, scope))


async def test_only_documents_that_have_such_an_event_are_repaired(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await wrongly_ordered(mongo, connection, logs, 1, 2, 3, 4, 5, 6, 7)
    await logs.happened(
        ("payment-3", msgspec.structs.replace(examples.authorized, order_id="3")),
        ("order-4", examples.confirmed("4")),
    )
    later = datetime.now(UTC)
    await logs.happened(("order-5", examples.confirmed("5")))
    await project_all(mongo, connection, logs, WRONG_ORDERS, "orders")
    confirmed = frozenset({"ordering.OrderConfirmed"})
    for scope, key, left in (
        (Scope(order="1"), "1", "234567"),
        (Scope(keys=("2",)), "2", "34567"),
        (Scope(context="payments"), "3", "4567"),
        (Scope(names=confirmed, until=later), "4", "567"),
        (Scope(since=later), "5", "67"),
        (Scope(context="ordering", first=6, last=6), "6", "7"),
        (Scope(stream="order-7"), "7", ""),
    ):
        report = await repaired(mongo, connection, scope)
        assert report.comparison.changed.keys == [key], scope
        assert await dollars(mongo) == set(left), scope
    assert await stored(mongo, "orders") == await logs.expected(ORDERS)


async def test_everything_an_order_did_to_the_stock_is_found(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.happened(("stock-MUG", examples.received), ("stock-CUP", examples.received))
    await logs.happened(("stock-MUG", examples.allocated))
    selection = await select(LogClient(connection), STOCK, Scope(order="42"))
    assert (selection.events, list(selection.partitions)) == (1, ["MUG"])


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await wrongly_ordered(mongo, connection, logs, 1, 2)
    before = await stored(mongo, "orders"), await mongo.find("checkpoints", {})
    log = LogClient(connection)
    selection = await select(log, ORDERS, Scope(context="ordering"))
    report = await repair(mongo, log, ORDERS, "orders", selection, dry_run=True)
    assert (report.matched, report.documents, report.read) == (2, 2, 2)
    (example, _) = report.comparison.fields["currency"].examples
    assert (example.key, example.old, example.new) == ("1", "USD", "GBP")
    assert (await stored(mongo, "orders"), await mongo.find("checkpoints", {})) == before


async def test_what_is_right_is_not_written(mongo: Mongo, connection: Client, logs: Logs) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(("order-1", examples.placed("1")))
    await project_all(mongo, connection, logs, ORDERS, "orders")
    checkpoints = await mongo.find("checkpoints", {})
    report = await repaired(mongo, connection, Scope(context="ordering"))
    assert (report.comparison.same, report.comparison.differences) == (1, 0)
    assert await mongo.find("checkpoints", {}) == checkpoints


async def test_a_projector_at_work_goes_on_from_what_was_repaired(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    """It remembers the wrong document, and would write it back with the next event."""
    await logs.happened(("stock-MUG", examples.received), ("stock-CUP", examples.received))
    await project_all(mongo, connection, logs, WRONG_STOCK, "stock")
    log = LogClient(connection)
    async with kept_up_to_date(mongo, connection, STOCK, "stock") as projector:
        await logs.happened(("stock-MUG", examples.received))
        await at_head(mongo, logs, STOCK, "stock")
        assert projector.events == 1
        selection = await select(log, STOCK, Scope(keys=("MUG",)))
        report = await repair(mongo, log, STOCK, "stock", selection)
        assert report.comparison.changed.keys == ["MUG"]
        await logs.happened(("stock-MUG", examples.received), ("stock-CUP", examples.received))
        await at_head(mongo, logs, STOCK, "stock")
    on_hand = {item["_id"]: item["on_hand"] for item in await mongo.find("stock", {})}
    assert on_hand == {"MUG": 30, "CUP": 21}


@pytest.mark.parametrize("singly", [0, 1_000])
async def test_documents_are_repaired_while_events_keep_coming(
    mongo: Mongo, connection: Client, logs: Logs, monkeypatch: pytest.MonkeyPatch, singly: int
) -> None:
    """Whether partitions are read or streams, in several transactions."""
    monkeypatch.setattr(repairing, "SINGLY", singly)
    monkeypatch.setattr(repairing, "TOGETHER", 16)
    skus = [f"stock-SKU{number}" for number in range(40)]
    await logs.happened(*((sku, examples.received) for sku in skus))
    await project_all(mongo, connection, logs, WRONG_STOCK, "stock")

    closing = asyncio.Event()

    async def trade() -> None:
        while not closing.is_set():
            await logs.happened(*((sku, examples.received) for sku in skus[::3]))

    log = LogClient(connection)
    async with kept_up_to_date(mongo, connection, STOCK, "stock"):
        trading = asyncio.create_task(trade())
        try:
            selection = await select(log, STOCK, Scope(context="inventory"))
            report = await repair(mongo, log, STOCK, "stock", selection)
        finally:
            closing.set()
            await trading
        assert (report.comparison.changed.documents, report.unfit) == (40, [])
        await at_head(mongo, logs, STOCK, "stock")
    assert await stored(mongo, "stock") == await logs.expected(STOCK)


async def test_days_that_many_orders_feed_are_repaired_by_one_of_them(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    for number in range(40):
        await logs.happened((f"order-{number}", examples.confirmed(str(number))))
    await project_all(mongo, connection, logs, WRONG_SALES, "sales")
    log = LogClient(connection)
    selection = await select(log, SALES, Scope(order="7"))
    (key,) = selection.partitions
    report = await repair(mongo, log, SALES, "sales", selection)
    assert report.comparison.changed.keys == [key]
    expected, found = await logs.expected(SALES), await stored(mongo, "sales")
    assert found[key] == expected[key]
    assert found != expected
    report = await repair(mongo, log, SALES, "sales", await select(log, SALES, Scope(context="ordering")))
    assert await stored(mongo, "sales") == expected


async def test_a_document_that_no_event_makes_is_removed_if_it_is_named(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.happened(("stock-MUG", examples.received))
    await project_all(mongo, connection, logs, STOCK, "stock")
    await mongo.write("stock", [replacing("GHOST", encode_document("GHOST", {"sku": "GHOST"}))])
    log = LogClient(connection)
    report = await repair(mongo, log, STOCK, "stock", await select(log, STOCK, Scope(keys=("GHOST",))))
    assert report.comparison.removed.keys == ["GHOST"]
    assert set(await stored(mongo, "stock")) == {"MUG"}


async def test_a_parked_document_that_can_be_folded_now_is_parked_no_longer(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    def refusing(document: Order | None, occurrence: Occurrence) -> Order:
        if occurrence.version == 2:
            raise ValueError("a bug of then")
        return orders.project(document, occurrence)

    await logs.open(*ORDERS.contexts)
    await logs.happened(("order-1", examples.placed("1")), ("order-2", examples.placed("2")))
    await logs.happened(("order-1", examples.confirmed("1")))
    await logs.record(("order-2", "ordering.OrderConfirmed", BROKEN))
    await project_all(mongo, connection, logs, replace(ORDERS, project=refusing), "orders")
    assert len(await list_parked(mongo, "orders")) == 2
    before = (await stored(mongo, "orders"))["2"]
    report = await repaired(mongo, connection, Scope(context="ordering"))
    assert (report.freed, report.comparison.changed.keys) == (1, ["1"])
    assert [(item.key, item.event_id) for item in report.unfit] == [("2", "order-2@2")]
    assert [letter.key for letter in await list_parked(mongo, "orders")] == ["2"]
    found = await stored(mongo, "orders")
    assert (found["1"], found["2"]) == ((await logs.expected(ORDERS))["1"], before)


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (Scope(), "say which documents"),
        (Scope(context="catalog"), "'catalog' feeds no orders; ordering, payments, shipping do"),
        (Scope(first=1), "need --context"),
        (Scope(stream="42"), "is no stream"),
    ],
)
def test_a_scope_that_makes_no_sense_is_refused(scope: Scope, message: str) -> None:
    with pytest.raises(ScopeInvalid, match=message):
        scope.check(ORDERS)


async def test_the_command_repairs_the_live_version(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    await wrongly_ordered(mongo, connection, logs, 1, 2)
    dry = await replay("repair", "orders", "--order", "1", "--dry-run")
    assert (dry.status, dry.err) == (0, "")
    assert "1 documents would be written" in dry.out
    assert "USD" in dry.out
    done = await replay("repair", "orders", "--events", "OrderPlaced", "--key", "2", "--json")
    assert (done.status, done.json["comparison"]["changed"]["keys"]) == (0, ["2"])
    assert await dollars(mongo) == {"1"}
    for arguments in (
        ("orders",),
        ("orders", "--events", "OrderLost"),
        ("orders", "--since", "yesterday"),
        ("invoices", "--key", "1"),
    ):
        refused = await replay("repair", *arguments)
        assert (refused.status, refused.out, refused.err.count("\n")) == (2, "", 1), refused


async def test_a_repair_of_what_does_not_exist_says_so(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    await logs.happened(("stock-MUG", examples.received))
    await project_all(mongo, connection, logs, STOCK, "stock")
    for asked in (("--key", "GHOST"), ("--order", "404"), ("--stream", "stock-GHOST")):
        refused = await replay("repair", "stock", *asked)
        assert (refused.status, refused.err.count("\n")) == (2, 1)
    both = await replay("repair", "stock", "--key", "MUG", "--key", "GHOST")
    assert both.status == 2
    assert "no document GHOST" in both.err
    assert "the others are done" in both.err
