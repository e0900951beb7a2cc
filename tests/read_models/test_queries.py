"""Queries on a real server: what they find, in which order, and how lists go on."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from contexts.catalog.events import ProductAdded
from contexts.customers.events import CustomerRegistered
from contexts.customers.personal_data import PersonalData
from contexts.fulfilment.events import CommandFailed, Stage, StepTaken
from contexts.inventory.events import StockReceived
from contexts.ordering.events import OrderConfirmed
from infra.mongo import Mongo, encode_document, replacing
from read_models import customers, fulfilments, orders, products, sales, shipments, stock
from read_models.projection.documents import CursorInvalid, Page, ReadModels
from read_models.projection.folding import Fold
from read_models.projection.model import ReadModel
from tests.read_models import examples
from tests.read_models.history import history

pytestmark = pytest.mark.fallback


async def keep(mongo: Mongo, model: ReadModel[Any], *happened: tuple[str, msgspec.Struct]) -> None:
    """Store a model's documents as the projector would."""
    fold = Fold(model)
    fold.add(history(*happened))
    await mongo.ensure_indexes(model.name, model.indexes)
    await mongo.write(model.name, [replacing(key, data) for key, data in fold.stored().items()])


async def walk(ask: Callable[[str | None], Awaitable[Page]]) -> list[list[dict[str, Any]]]:
    """All pages of a list."""
    page = await ask(None)
    pages = [page.items]
    while page.next is not None:
        page = await ask(page.next)
        pages.append(page.items)
    return pages


def ids(pages: list[list[dict[str, Any]]], field: str = "order_id") -> list[list[str]]:
    return [[item[field] for item in items] for items in pages]


def placed(order_id: str, minute: int, **fields: Any) -> tuple[str, msgspec.Struct]:
    moment = examples.PLACED_AT + timedelta(minutes=minute)
    return f"order-{order_id}", examples.placed(order_id, at=moment, **fields)


async def test_an_order_is_found_by_its_id(mongo: Mongo, models: ReadModels) -> None:
    await keep(mongo, orders.ORDERS, placed("42", 0))
    found = await orders.get(models, "42")
    assert found is not None
    assert (found["order_id"], found["status"], found["total"]) == ("42", "placed", 500)
    assert "_id" not in found
    assert await orders.get(models, "43") is None


async def test_an_order_is_hidden_until_it_was_heard_to_be_placed(mongo: Mongo, models: ReadModels) -> None:
    """Its payment may be heard first."""
    await keep(mongo, orders.ORDERS, ("payment-42", examples.authorized), placed("43", 0))
    assert await orders.get(models, "42") is None
    assert ids([(await orders.list_newest(models)).items]) == [["43"]]


async def test_orders_come_newest_first_in_pages(mongo: Mongo, models: ReadModels) -> None:
    """Orders of one moment are told apart by their ids, so that none is left out or comes twice."""
    await keep(
        mongo,
        orders.ORDERS,
        placed("a", 1),
        placed("b", 3),
        placed("c", 2),
        placed("d", 2),
        placed("e", 2),
        placed("f", 0),
    )
    pages = await walk(lambda cursor: orders.list_newest(models, limit=2, cursor=cursor))
    assert ids(pages) == [["b", "e"], ["d", "c"], ["a", "f"]]


async def test_a_page_goes_on_where_it_was_when_newer_orders_have_come(
    mongo: Mongo, models: ReadModels
) -> None:
    await keep(mongo, orders.ORDERS, placed("a", 1), placed("b", 2), placed("c", 3))
    page = await orders.list_newest(models, limit=2)
    await keep(mongo, orders.ORDERS, placed("d", 4))
    rest = await orders.list_newest(models, limit=2, cursor=page.next)
    assert ids([page.items, rest.items]) == [["c", "b"], ["a"]]


async def test_orders_are_listed_by_status_and_by_customer(mongo: Mongo, models: ReadModels) -> None:
    await keep(
        mongo,
        orders.ORDERS,
        placed("a", 1, customer_id="ann"),
        placed("b", 2, customer_id="bob"),
        placed("c", 3, customer_id="ann"),
        ("order-c", OrderConfirmed(order_id="c", sale=examples.sale())),
    )
    assert ids([(await orders.list_newest(models, status="placed")).items]) == [["b", "a"]]
    assert ids([(await orders.list_newest(models, customer_id="ann")).items]) == [["c", "a"]]
    both = await orders.list_newest(models, status="confirmed", customer_id="ann")
    assert ids([both.items]) == [["c"]]
    pages = await walk(lambda cursor: orders.list_newest(models, customer_id="ann", limit=1, cursor=cursor))
    assert ids(pages) == [["c"], ["a"]]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!!!",
        "ä",
        "e30",
        base64.urlsafe_b64encode(b'["2010-12-01T08:26:00.000000Z"]').decode(),
        base64.urlsafe_b64encode(b'[{"$gt":""},{"$gt":""}]').decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
async def test_nonsense_is_no_cursor(models: ReadModels, cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        await orders.list_newest(models, cursor=cursor)


async def test_no_page_has_more_than_two_hundred(mongo: Mongo, models: ReadModels) -> None:
    await keep(
        mongo, stock.STOCK, *((f"stock-S{n:03}", StockReceived(sku="S", quantity=1)) for n in range(205))
    )
    pages = await walk(lambda cursor: stock.list_by_sku(models, limit=1000, cursor=cursor))
    assert [len(items) for items in pages] == [200, 5]
    assert [item["sku"] for items in pages for item in items] == [f"S{n:03}" for n in range(205)]


async def test_stock_is_found_by_sku(mongo: Mongo, models: ReadModels) -> None:
    await keep(mongo, stock.STOCK, ("stock-MUG", examples.received), ("stock-MUG", examples.allocated))
    found = await stock.get(models, "MUG")
    assert found is not None
    assert (found["on_hand"], found["reserved"], found["available"]) == (10, 4, 6)


def added(sku: str, name: str) -> tuple[str, msgspec.Struct]:
    return f"product-{sku}", ProductAdded(sku=sku, name=name, unit_price=1, currency="GBP")


async def test_products_are_found_by_the_beginnings_of_words_or_of_the_sku(
    mongo: Mongo, models: ReadModels
) -> None:
    await keep(
        mongo,
        products.PRODUCTS,
        added("85123A", "White Hanging Heart T-Light Holder"),
        added("MUG-1", "White mug"),
        added("CUP", "Red cup (100% clay)"),
    )

    async def skus(q: str | None) -> list[str]:
        return [item["sku"] for item in (await products.search(models, q=q)).items]

    assert await skus(None) == ["85123A", "CUP", "MUG-1"]
    assert await skus("WHITE") == ["85123A", "MUG-1"]
    assert await skus("mu whi") == ["MUG-1"]
    assert await skus("85123a") == ["85123A"]
    assert await skus("t-light") == ["85123A"]
    assert await skus("100%") == ["CUP"]
    assert await skus("(100%") == ["CUP"]
    assert await skus("mug-") == ["MUG-1"]
    assert await skus(".*") == []
    assert await skus("  ") == ["85123A", "CUP", "MUG-1"]


@pytest.mark.parametrize(
    ("name", "found_by"),
    [
        ("Café au lait", ["Caf\u00e9", "Cafe\u0301", "CAFÉ", "CAFE\u0301", "café lait"]),
        ("Cafe\u0301 au lait", ["Caf\u00e9", "CAFÉ"]),
        ("Große Straße", ["GROSSE", "strasse", "Straße", "GROẞE"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφος", "Σίσυφοσ"]),
        ("Ångström", ["\u212bngstr", "a\u030angstro\u0308m", "ÅNGSTRÖM"]),
        ("\uff2d\uff35\uff27 \ufb01ne", ["mug", "fine", "MUG"]),
        ("Kaf\u00adfee\u200bkanne", ["kaffeekanne"]),
        ("한글", ["\u1112\u1161\u11ab"]),
        ("İzmir", ["İzmir", "i\u0307zmir"]),
    ],
)
async def test_products_are_found_however_their_names_are_composed_and_in_any_case(
    mongo: Mongo, models: ReadModels, name: str, found_by: list[str]
) -> None:
    await keep(mongo, products.PRODUCTS, added("IT", name), added("OTHER", "Cafeteria grosz"))
    for q in found_by:
        assert [item["sku"] for item in (await products.search(models, q=q)).items] == ["IT"], q


async def test_every_word_of_a_search_counts(mongo: Mongo, models: ReadModels) -> None:
    words = [f"w{number}" for number in range(10, 75)]
    await keep(mongo, products.PRODUCTS, added("LONG", " ".join(words[:49])))
    assert (await products.search(models, q=" ".join(words[:49]))).items
    assert not (await products.search(models, q=" ".join([*words[:12], "else"]))).items


async def test_a_product_is_shown_without_what_searching_needs(mongo: Mongo, models: ReadModels) -> None:
    await keep(mongo, products.PRODUCTS, ("product-MUG", examples.added), ("stock-CUP", examples.received))
    found = await products.get(models, "MUG")
    assert found is not None
    assert set(found) == {
        "sku",
        "name",
        "unit_price",
        "currency",
        "status",
        "available",
        "updated_at",
        "version",
    }
    assert (await products.search(models)).items == [found]
    assert await products.get(models, "CUP") is None


SEALED = CustomerRegistered(customer_id="ann", country="GB", personal="sealed1.YW5u")


async def test_a_customer_is_found_by_id_and_opened_when_asked_for(mongo: Mongo, models: ReadModels) -> None:
    await keep(mongo, customers.CUSTOMERS, ("customer-ann", SEALED))
    asked: list[tuple[str, str]] = []

    async def disclose(customer_id: str, encrypted: str) -> PersonalData | None:
        asked.append((customer_id, encrypted))
        return examples.PERSONAL

    found = await customers.get(models, disclose, "ann")
    assert asked == [("ann", "sealed1.YW5u")]
    assert found is not None
    assert found["address"]["city"] == "Bristol"
    assert found["status"] == "active"


async def test_a_customer_whose_key_is_gone_is_forgotten_before_the_document_says_so(
    mongo: Mongo, models: ReadModels
) -> None:
    await keep(mongo, customers.CUSTOMERS, ("customer-ann", SEALED))

    async def disclose(_customer_id: str, _encrypted: str) -> PersonalData | None:
        return None

    found = await customers.get(models, disclose, "ann")
    assert found is not None
    assert (found["status"], found["name"], found["address"]) == ("forgotten", None, None)


async def test_shipments_are_listed_by_status(mongo: Mongo, models: ReadModels) -> None:
    await keep(
        mongo,
        shipments.SHIPMENTS,
        ("shipment-1", examples.parcel_created),
        ("shipment-2", examples.parcel_created),
        ("shipment-2", examples.parcel_dispatched),
        ("shipment-3", examples.parcel_created),
    )
    assert ids([(await shipments.list_by_order(models, status="created")).items]) == [["1", "3"]]
    assert ids(await walk(lambda c: shipments.list_by_order(models, limit=2, cursor=c))) == [
        ["1", "2"],
        ["3"],
    ]
    found = await shipments.get(models, "2")
    assert found is not None
    assert found["tracking"] == "T1"


async def test_fulfilments_are_listed_by_stage_and_by_being_stuck(mongo: Mongo, models: ReadModels) -> None:
    def step(order_id: str, stage: Stage) -> tuple[str, msgspec.Struct]:
        heard = examples.placed(order_id)
        return f"fulfilment-{order_id}", StepTaken(order_id=order_id, heard=heard, stage=stage)

    failed = CommandFailed(order_id="2", command_id="fulfilment-2:1:1", command="c", reason="r")
    await keep(
        mongo,
        fulfilments.FULFILMENTS,
        step("1", Stage.RESERVING),
        step("2", Stage.RESERVING),
        ("fulfilment-2", failed),
        step("3", Stage.COMPLETED),
    )
    assert ids([(await fulfilments.list_by_order(models, stage="reserving")).items]) == [["1", "2"]]
    assert ids([(await fulfilments.list_by_order(models, stuck=True)).items]) == [["2"]]
    assert ids([(await fulfilments.list_by_order(models, stuck=False)).items]) == [["1", "3"]]


def sold(order_id: str, day: int, amount: int, **fields: Any) -> tuple[str, msgspec.Struct]:
    moment = datetime(2010, 12, day, 10, tzinfo=UTC)
    sale = examples.sale(at=moment, units=1, amount=amount, **fields)
    return f"order-{order_id}", OrderConfirmed(order_id=order_id, sale=sale)


async def test_daily_sales_add_up_partitions_countries_and_currencies(
    mongo: Mongo, models: ReadModels
) -> None:
    """The orders' ids are in different partitions."""
    await keep(
        mongo,
        sales.SALES,
        *(sold(str(number), 1, 100) for number in range(40)),
        sold("x", 1, 7, country="FR", currency="EUR"),
        sold("y", 2, 2**40),
        sold("z", 3, 1),
    )
    rows = await sales.daily(models, first=date(2010, 12, 1), last=date(2010, 12, 2))
    assert rows == [
        {"day": "2010-12-01", "orders": 41, "units": 41, "revenue": {"EUR": 7, "GBP": 4000}},
        {"day": "2010-12-02", "orders": 1, "units": 1, "revenue": {"GBP": 2**40}},
    ]
    assert await sales.daily(models, first=date(2010, 12, 1), last=date(2010, 12, 3), country="FR") == [
        {"day": "2010-12-01", "orders": 1, "units": 1, "revenue": {"EUR": 7}}
    ]


async def test_a_day_with_everything_taken_back_is_left_out(mongo: Mongo, models: ReadModels) -> None:
    await keep(
        mongo,
        sales.SALES,
        ("order-42", examples.confirmed()),
        ("order-42", examples.cancelled(taken=examples.sale())),
    )
    assert await sales.daily(models, first=date(2010, 12, 1), last=date(2010, 12, 31)) == []


async def test_queries_read_the_collection_that_is_live(mongo: Mongo, models: ReadModels) -> None:
    await mongo.write("models", [replacing("stock", encode_document("stock", {"live": "stock-2"}))])
    fold = Fold(stock.STOCK)
    fold.add(history(("stock-MUG", examples.received)))
    await mongo.insert("stock-2", list(fold.stored().values()))
    assert await models.live("stock") == "stock-2"
    assert await models.live("orders") == "orders"
    assert await stock.get(models, "MUG") is not None
