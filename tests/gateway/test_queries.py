"""Answers from the read models: one document, a list in pages, and never from before a token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from contexts.catalog.events import ProductAdded
from contexts.fulfilment.events import CommandFailed, Stage, StepTaken
from infra.messages.events import Checkpoint, partition_of
from infra.mongo import Mongo, replacing
from infra.settings import Settings
from read_models.projection import checkpoints
from read_models.projection.folding import Fold
from read_models.registry import MODELS
from tests.conftest import Server
from tests.gateway.conftest import Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem
from tests.read_models import examples
from tests.read_models.history import history
from tests.support.deadlines import HOLDS_SECONDS

Json = dict[str, Any]

DATABASE = "test_gateway_queries"
PARTITION = partition_of("42")
BEHIND = f"ordering:8.{PARTITION}"
"""One position further than the read models have come."""
REACHED = f"ordering:7.{PARTITION}"

GOLD = ProductAdded(sku="GOLD", name="Bar", unit_price=10**11, currency="GBP")
"""What costs more than 32 bits can tell."""


def happened() -> list[tuple[str, msgspec.Struct]]:
    """Everything about order 42, and seven more orders that were only placed."""
    later = [
        (f"order-{number}", examples.placed(str(number), at=examples.PLACED_AT + timedelta(hours=number)))
        for number in range(1, 8)
    ]
    step = StepTaken(order_id="42", heard=examples.placed(), stage=Stage.RESERVING)
    failed = CommandFailed(order_id="42", command_id="fulfilment-42:1:1", command="c", reason="r")
    return [
        ("product-MUG", examples.added),
        ("product-GOLD", GOLD),
        ("stock-MUG", examples.received),
        ("customer-ann", examples.registered),
        ("order-42", examples.placed()),
        ("order-42", examples.confirmed()),
        ("payment-42", examples.authorized),
        ("shipment-42", examples.parcel_created),
        ("fulfilment-42", step),
        ("fulfilment-42", failed),
        *later,
    ]


async def project(mongo: Mongo) -> None:
    """Have the documents of all this in MongoDB, as projectors would."""
    await mongo.drop_database()
    for model in MODELS.values():
        fold = Fold(model)
        fold.add(event for event in history(*happened()) if event.context in model.contexts)
        await mongo.ensure_indexes(model.name, model.indexes)
        await mongo.write(model.name, [replacing(key, data) for key, data in fold.stored().items()])


async def come_to(mongo: Mongo, position: int) -> None:
    """Say that the orders have come to a position of ordering's log."""
    place = ("ordering", PARTITION)
    async with mongo.transaction() as transaction:
        known = await checkpoints.load(transaction, "orders", [place])
        await checkpoints.move(transaction, "orders", known, {place: Checkpoint(position=position)}, {})


def settings(server: Server) -> Settings:
    return Settings(mongo_url=server.url, mongo_database=DATABASE)


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str], mongo_process: Server
) -> Iterator[Gateway]:
    """A gateway whose read models hold an order's life."""

    async def prepare() -> None:
        mongo = Mongo(settings(mongo_process))
        await project(mongo)
        await come_to(mongo, 7)
        mongo.close()

    asyncio.run(prepare())
    gateway = Gateway(
        tmp_path_factory.mktemp("gateway"),
        environ | {"ORDERFOLD_MONGO_URL": mongo_process.url, "ORDERFOLD_MONGO_DATABASE": DATABASE},
    )
    gateway.start()
    yield gateway
    gateway.process.kill()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/products/MUG", {"sku": "MUG", "name": "White mug", "available": 10, "version": 1}),
        ("/v1/stock/MUG", {"sku": "MUG", "on_hand": 10, "reserved": 0, "available": 10, "version": 1}),
        ("/v1/customers/ann", {"customer_id": "ann", "name": "Ann Poe", "version": 1}),
        ("/v1/orders/42", {"order_id": "42", "status": "confirmed", "total": 500, "version": 2}),
        ("/v1/shipments/42", {"order_id": "42", "status": "created", "version": 1}),
        ("/v1/fulfilments/42", {"order_id": "42", "stage": "reserving", "stuck": True, "version": 2}),
    ],
)
async def test_a_document_is_shown_with_its_version(http: httpx.AsyncClient, path: str, shown: Json) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.json() | shown == answer.json()
    assert answer.headers["ETag"].startswith(f'"{shown["version"]}-')
    assert answer.headers["Cache-Control"] == "no-store"
    assert "_id" not in answer.json()


@pytest.mark.parametrize("path", ["/v1/products/GOLD", "/v1/products"])
async def test_a_price_beyond_32_bits_is_shown(http: httpx.AsyncClient, path: str) -> None:
    """MongoDB's driver has a kind of integer of its own for those."""
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    assert '"unit_price":100000000000,' in answer.text


@pytest.mark.parametrize("thing", ["products", "stock", "customers", "orders", "shipments", "fulfilments"])
async def test_what_there_is_not_is_not_found(http: httpx.AsyncClient, thing: dict[str, str]) -> None:
    assert_problem(await http.get(f"/v1/{thing}/nobody-9"), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "field", "found"),
    [
        ("/v1/products", "sku", ["GOLD", "MUG"]),
        ("/v1/products?q=mug", "sku", ["MUG"]),
        ("/v1/products?q=cup", "sku", []),
        ("/v1/stock", "sku", ["MUG"]),
        ("/v1/orders?status=confirmed", "order_id", ["42"]),
        ("/v1/orders?customer_id=nobody", "order_id", []),
        ("/v1/orders?limit=2", "order_id", ["7", "6"]),
        ("/v1/customers/ann/orders?limit=1", "order_id", ["7"]),
        ("/v1/customers/nobody/orders", "order_id", []),
        ("/v1/shipments?status=created", "order_id", ["42"]),
        ("/v1/shipments?status=delivered", "order_id", []),
        ("/v1/fulfilments?stuck=true", "order_id", ["42"]),
        ("/v1/fulfilments?stage=completed", "order_id", []),
        ("/v1/sales/daily?from=2010-12-01&to=2010-12-31", "orders", [1]),
        ("/v1/sales/daily?from=2010-12-01&to=2010-12-01&country=FR", "orders", []),
    ],
)
async def test_a_list_has_what_was_asked_for(
    http: httpx.AsyncClient, path: str, field: str | None, found: list[Any]
) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    assert [item[field] for item in answer.json()["items"]] == found


async def test_a_list_goes_on_at_its_cursor_until_its_end(http: httpx.AsyncClient) -> None:
    seen, cursor = [], None
    for _ in range(4):
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/v1/orders", params=params)).json()
        seen += [item["order_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["7", "6", "5", "4", "3", "2", "1", "42"]


@pytest.mark.parametrize("cursor", ["x", "%ff", "bm9uc2Vuc2U", "WyJ4Il0", "W10", "eyIkZ3QiOiAiIn0"])
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/customers/ann/orders"])
async def test_nonsense_is_no_cursor(http: httpx.AsyncClient, path: str, cursor: str) -> None:
    problem = assert_problem(await http.get(f"{path}?cursor={cursor}"), 400, "invalid")
    assert "quer" in problem["detail"] or problem["errors"][0]["field"] == "cursor"


async def test_an_answer_after_a_token_that_was_reached_is_given(http: httpx.AsyncClient) -> None:
    headers = {"Consistency-Token": REACHED, "Prefer": "wait=30"}
    assert (await http.get("/v1/orders/42", headers=headers)).status_code == 200


async def test_an_answer_from_before_a_token_is_never_given(http: httpx.AsyncClient) -> None:
    headers = {"Consistency-Token": BEHIND, "Prefer": "wait=1"}
    answer = await http.get("/v1/orders/42", headers=headers)
    assert_problem(answer, 503, "projection-behind")
    assert answer.headers["Retry-After"] == "1"
    assert answer.elapsed.total_seconds() >= 1


async def test_a_token_from_the_future_is_behind_without_waiting_if_so_preferred(
    http: httpx.AsyncClient,
) -> None:
    headers = {"Consistency-Token": "ordering:9223372036854775807.3", "Prefer": "wait=0"}
    assert_problem(await http.get("/v1/orders", headers=headers), 503, "projection-behind")


async def test_an_answer_waits_for_what_its_token_names(
    http: httpx.AsyncClient, mongo_process: Server
) -> None:
    mongo = Mongo(settings(mongo_process))
    asked = asyncio.create_task(
        http.get("/v1/orders/42", headers={"Consistency-Token": BEHIND, "Prefer": "wait=30"})
    )
    done, _ = await asyncio.wait({asked}, timeout=0.5)
    assert not done
    await come_to(mongo, 8)
    assert (await asked).status_code == 200
    await come_to(mongo, 7)
    mongo.close()


async def test_without_mongodb_a_query_is_a_problem_that_names_it(
    new_gateway: Callable[..., Gateway], issuer: Issuer
) -> None:
    gateway = new_gateway()
    gateway.start()
    headers = {"Authorization": f"Bearer {issuer.token(scope='orders:read')}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, timeout=HOLDS_SECONDS, verify=False
    ) as client:
        answer = await client.get("/v1/orders/42")
    assert "MongoDB" in assert_problem(answer, 503, "unavailable")["detail"]
    assert answer.headers["Retry-After"] == "1"
    assert "127.0.0.1" not in answer.text
