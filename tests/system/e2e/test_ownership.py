"""On the whole system: to a customer, somebody else's order is no other than one that does not exist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.auth.roles import Role
from infra.embedded.stack import EmbeddedStack
from infra.security.development_issuer import SigningKeys
from tests.support.shop import Shop
from tests.system.e2e.conftest import SCOPES

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

LINES = [{"sku": "OWN-MUG", "quantity": 1}]


def customers_token(stack: EmbeddedStack, customer_id: str) -> str:
    """With every scope there is: what it does not reach is not for want of one."""
    return SigningKeys.load(stack.folder.keys).mint(
        SCOPES,
        subject=customer_id,
        lifetime=timedelta(hours=1),
        issuer=stack.settings.jwt_issuer,
        audience=stack.settings.jwt_audience,
        role=Role.CUSTOMER,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ann(stack: EmbeddedStack) -> AsyncIterator[Shop]:
    """A customer who has placed the orders own-1 and own-2."""
    staff = SigningKeys.load(stack.folder.keys).mint(
        SCOPES,
        subject="shop",
        lifetime=timedelta(hours=1),
        issuer=stack.settings.jwt_issuer,
        audience=stack.settings.jwt_audience,
    )
    async with Shop(stack.url, staff) as shop, Shop(stack.url, customers_token(stack, "own-ann")) as ann:
        await shop.stock("OWN-MUG", 10)
        await shop.customer("own-ann")
        await shop.customer("own-bob")
        for number in (1, 2):
            await shop.order(f"own-{number}", "own-ann", {"OWN-MUG": 1})
            await shop.order_becomes(f"own-{number}", "confirmed")
        yield ann


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bob(stack: EmbeddedStack, ann: Shop) -> AsyncIterator[Shop]:
    """Another customer, who knows the ids of ann's orders."""
    async with Shop(stack.url, customers_token(stack, "own-bob")) as bob:
        yield bob


def told(answer: httpx.Response, order_id: str) -> dict[str, Any]:
    """All that an answer tells but which request it is for."""
    body = answer.json()
    del body["correlation_id"]
    return {
        "status": answer.status_code,
        "body": {key: str(value).replace(order_id, "ID") for key, value in body.items()},
        "headers": sorted(set(answer.headers) - {"date", "content-length"}),
    }


async def test_a_customer_sees_their_own(ann: Shop) -> None:
    order = await ann.get("/v1/orders/own-1")
    assert order["customer_id"] == "own-ann"
    listed = await ann.get("/v1/orders")
    assert {item["order_id"] for item in listed["items"]} == {"own-1", "own-2"}
    past = await ann.get("/v1/orders/own-1", as_of=datetime.now(UTC).isoformat())
    assert past["status"] == "confirmed"


@pytest.mark.parametrize("if_match", [None, '"0"', '"1"', '"2"', '"9"', "*"])
@pytest.mark.parametrize("what", ["cancel", "return", "withdraw-return"])
async def test_commands_tell_nothing_of_anothers_order(
    ann: Shop, bob: Shop, what: str, if_match: str | None
) -> None:
    body = {
        "cancel": {"reason": "curious"},
        "return": {"lines": LINES, "reason": "curious"},
        "withdraw-return": {"return_id": "r1"},
    }[what]
    headers = {} if if_match is None else {"If-Match": if_match}
    answers = []
    for order_id in ("own-1", "own-9"):
        answer = await bob.http.post(f"/v1/orders/{order_id}/{what}", json=body, headers=headers)
        answers.append(told(answer, order_id))
    assert answers[0] == answers[1]
    assert answers[0]["status"] == 404
    assert (await ann.get("/v1/orders/own-1"))["status"] == "confirmed"


async def test_a_return_of_ones_own_is_no_customers_to_refuse_or_to_receive(ann: Shop) -> None:
    refused = {"return_id": "r1", "reason": "curious"}
    assert (await ann.http.post("/v1/orders/own-1/refuse-return", json=refused)).status_code == 403
    assert (await ann.http.post("/v1/shipments/own-1/receive-return")).status_code == 403


@pytest.mark.parametrize("past", [False, True])
async def test_queries_tell_nothing_of_anothers_order(bob: Shop, past: bool) -> None:  # noqa: FBT001 - a case
    asked = {"as_of": datetime.now(UTC).isoformat()} if past else {}
    anothers, nobodys = [
        told(await bob.http.get(f"/v1/orders/{order_id}", params=asked), order_id)
        for order_id in ("own-1", "own-9")
    ]
    assert anothers == nobodys
    assert anothers["status"] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v1/orders?customer_id=own-ann",
        "/v1/customers/own-ann",
        "/v1/customers/own-ann/orders",
        "/v1/orders/own-1/history",
        "/v1/shipments/own-1",
        "/v1/fulfilments/own-1",
        "/v1/sales/daily?from=2020-01-01&to=2020-01-31",
    ],
)
async def test_what_is_anothers_or_staffs_is_refused(bob: Shop, path: str) -> None:
    assert (await bob.http.get(path)).status_code == 403


async def test_lists_are_of_ones_own_also_from_anothers_cursor_on(ann: Shop, bob: Shop) -> None:
    cursor = (await ann.get("/v1/orders", limit=1))["next"]
    assert len((await ann.get("/v1/orders", cursor=cursor))["items"]) == 1
    for path in ("/v1/orders", "/v1/customers/own-bob/orders"):
        assert (await bob.get(path))["items"] == []
        assert (await bob.get(path, cursor=cursor))["items"] == []


async def test_two_callers_idempotency_keys_never_meet(ann: Shop, bob: Shop) -> None:
    """Or one would be told what the other has done."""
    made = []
    for customer, name in ((ann, "own-ann"), (bob, "own-bob")):
        order = {"customer_id": name, "lines": LINES, "payment_method": "tok_approve"}
        for _ in range(2):
            answer = await customer.http.post("/v1/orders", json=order, headers={"Idempotency-Key": "basket"})
            assert answer.status_code == 201, answer.text
            made.append(answer.json()["order_id"])
    anns, again, bobs, too = made
    assert anns == again
    assert bobs == too
    assert anns != bobs


async def test_nobody_orders_in_anothers_name(ann: Shop, bob: Shop) -> None:
    order = {"customer_id": "own-ann", "lines": LINES, "payment_method": "tok_approve"}
    assert (await bob.http.post("/v1/orders", json=order)).status_code == 403
    # Its id is the customer's own choice, so that it tells of one who has chosen it, and of nothing else.
    taken = {**order, "order_id": "own-1", "customer_id": "own-bob"}
    answer = await bob.http.post("/v1/orders", json=taken, headers={"If-Match": '"9"'})
    assert answer.status_code == 409
    assert not {"own-ann", "version"} & set(answer.text.split('"'))
