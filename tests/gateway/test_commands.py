"""What happens to a command on its way from HTTP to its context and back."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from infra.messages.command_headers import from_headers
from infra.messages.commands import RefusalKind, Refused, Token
from infra.messages.events import partition_of
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem

Json = dict[str, Any]

LINES = [{"sku": "MUG", "quantity": 2}]
ORDER = {"customer_id": "c-1", "lines": LINES, "payment_method": "tok_approve"}
ADDRESS = {"line1": "1 Mill Lane", "line2": "", "city": "Leeds", "postcode": "LS1 4AP", "country": "GB"}


async def test_a_placed_order_is_answered_with_its_place(http: httpx.AsyncClient, contexts: Contexts) -> None:
    answer = await http.post("/v1/orders", json={"order_id": "o-1", **ORDER})
    token = f"ordering:42.{partition_of('o-1')}"
    assert answer.status_code == 201
    assert answer.json() == {"order_id": "o-1", "version": 1, "position": token}
    assert answer.headers["Location"] == "/v1/orders/o-1"
    assert answer.headers["Consistency-Token"] == token
    assert answer.headers["ETag"] == '"1"'


async def test_the_context_gets_the_command_and_who_sent_it(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    before = datetime.now(UTC)
    await http.post("/v1/orders", json={"order_id": "o-1", **ORDER}, headers={"X-Correlation-Id": "basket-7"})
    message = contexts.received[0]
    assert message.subject == "cmd.ordering.PlaceOrder"
    command = json.loads(message.data)
    assert command.pop("placed_at") is None
    assert command.pop("type") == "ordering.PlaceOrder"
    assert command == {"order_id": "o-1", **ORDER, "lines": [{**LINES[0], "unit_price": None}]}
    envelope = from_headers(message.headers)
    assert envelope.actor == "shop-1"
    assert envelope.correlation_id == "basket-7"
    assert envelope.causation_id == envelope.command_id
    assert uuid.UUID(envelope.command_id).version == 7
    assert before <= envelope.time <= datetime.now(UTC)
    assert envelope.deadline - envelope.time == timedelta(seconds=5)
    assert envelope.expected_versions is None
    assert envelope.after == ()


async def test_a_customer_is_recorded_by_the_id_that_erasure_leaves(
    gateway: Gateway, contexts: Contexts, issuer: Issuer
) -> None:
    """Its token's subject may be an e-mail address, which would stand in events for ever."""
    token = issuer.token(scope="customers:write", role="customer", sub="ann@example.org", customer_id="ann")
    async with httpx.AsyncClient(base_url=gateway.url, verify=False) as client:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
        answer = await client.post("/v1/customers/ann/forget", headers=headers)
    assert answer.status_code == 200
    [message] = contexts.received
    assert from_headers(message.headers).actor == "customer:ann"
    assert "example.org" not in f"{message.headers}{message.data!r}"


@pytest.mark.parametrize(
    ("path", "body", "subject", "thing", "status"),
    [
        ("/v1/products", {"sku": "MUG", "name": "Mug", "unit_price": 850, "currency": "GBP"},
         "catalog.AddProduct", {"sku": "MUG"}, 201),
        ("/v1/products/MUG/rename", {"name": "Big mug"}, "catalog.RenameProduct", {"sku": "MUG"}, 200),
        ("/v1/products/MUG/reprice", {"unit_price": 900}, "catalog.RepriceProduct", {"sku": "MUG"}, 200),
        ("/v1/products/MUG/discontinue", None, "catalog.DiscontinueProduct", {"sku": "MUG"}, 200),
        ("/v1/products/MUG/reinstate", {}, "catalog.ReinstateProduct", {"sku": "MUG"}, 200),
        ("/v1/stock/MUG/receive", {"quantity": 5}, "inventory.ReceiveStock", {"sku": "MUG"}, 200),
        ("/v1/stock/MUG/adjust", {"delta": -1, "reason": "broken"}, "inventory.AdjustStock",
         {"sku": "MUG"}, 200),
        ("/v1/customers", {"customer_id": "c-1", "name": "Ann", "email": "a@b.example", "address": ADDRESS},
         "customers.RegisterCustomer", {"customer_id": "c-1"}, 201),
        ("/v1/customers/c-1/change-email", {"email": "b@c.example"}, "customers.ChangeEmail",
         {"customer_id": "c-1"}, 200),
        ("/v1/customers/c-1/change-address", {"address": ADDRESS}, "customers.ChangeAddress",
         {"customer_id": "c-1"}, 200),
        ("/v1/customers/c-1/forget", None, "customers.ForgetCustomer", {"customer_id": "c-1"}, 200),
        ("/v1/orders/o-1/cancel", {"reason": "too late"}, "ordering.CancelOrder", {"order_id": "o-1"}, 200),
        ("/v1/orders/o-1/return", {"return_id": "r-1", "lines": LINES, "reason": "wrong"},
         "ordering.RequestReturn", {"order_id": "o-1", "return_id": "r-1"}, 200),
        ("/v1/shipments/o-1/dispatch", {"carrier": "DHL", "tracking": "1Z"}, "shipping.DispatchShipment",
         {"order_id": "o-1"}, 200),
        ("/v1/shipments/o-1/deliver", None, "shipping.DeliverShipment", {"order_id": "o-1"}, 200),
        ("/v1/orders/o-1/withdraw-return", {"return_id": "r-1"}, "ordering.WithdrawReturn",
         {"order_id": "o-1"}, 200),
        ("/v1/orders/o-1/refuse-return", {"return_id": "r-1", "reason": "worn"}, "ordering.RefuseReturn",
         {"order_id": "o-1"}, 200),
        ("/v1/shipments/o-1/receive-return", None, "ordering.ReceiveReturn", {"order_id": "o-1"}, 200),
        ("/v1/shipments/o-1/receive-return", {}, "ordering.ReceiveReturn", {"order_id": "o-1"}, 200),
        ("/v1/shipments/o-1/receive-return",
         {"return_id": "r-1", "lines": [{"sku": "MUG", "restocked": 1, "written_off": 2}]},
         "ordering.ReceiveReturn", {"order_id": "o-1"}, 200),
        ("/v1/fulfilments/o-1/retry", None, "fulfilment.RetryFulfilment", {"order_id": "o-1"}, 200),
        ("/v1/fulfilments/o-1/abandon", {"reason": "lost"}, "fulfilment.AbandonFulfilment",
         {"order_id": "o-1"}, 200),
        ("/v1/fulfilments/o-1/settle", {"reason": "lost", "payment": "refund", "amount": 5, "stock": "ship"},
         "fulfilment.SettleFulfilment", {"order_id": "o-1"}, 200),
        ("/v1/fulfilments/o-1/resume", {"reason": "found"}, "fulfilment.ResumeFulfilment",
         {"order_id": "o-1"}, 200),
    ],
)  # fmt: skip
async def test_every_command_reaches_its_context(
    http: httpx.AsyncClient,
    contexts: Contexts,
    path: str,
    body: Any,
    subject: str,
    thing: dict[str, str],
    status: int,
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status_code == status, answer.text
    context = subject.split(".", maxsplit=1)[0]
    token = f"{context}:42.{partition_of(next(iter(thing.values())))}"
    assert answer.json() == {**thing, "version": 1, "position": token}
    assert contexts.received[0].subject == f"cmd.{subject}"
    assert contexts.bodies[0] | (body or {}) | thing == contexts.bodies[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [("receive", {"quantity": 5}), ("adjust", {"delta": 1, "reason": "found"})],
)
async def test_there_is_no_stock_of_what_is_no_product(
    http: httpx.AsyncClient, contexts: Contexts, path: str, body: Any
) -> None:
    """The catalog is asked itself, so that a product can be received as soon as it was added."""
    contexts.unlisted.add("MUG")
    answer = await http.post(f"/v1/stock/MUG/{path}", json=body)
    assert_problem(answer, 404, "not-found")
    assert "there is no product MUG" in answer.json()["detail"]
    assert contexts.received == []
    assert (await http.post(f"/v1/stock/CUP/{path}", json=body)).status_code == 200


async def test_the_same_idempotency_key_is_the_same_command_with_the_same_ids(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    for _ in range(2):
        await http.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": "basket 7"})
    assert contexts.ids[0] == contexts.ids[1]
    assert contexts.bodies[0] == contexts.bodies[1]
    assert contexts.bodies[0]["order_id"]


async def test_two_callers_with_one_idempotency_key_send_two_commands(
    http: httpx.AsyncClient, contexts: Contexts, issuer: Issuer, scopes: str
) -> None:
    for subject in ("shop-1", "shop-2"):
        headers = {
            "Authorization": f"Bearer {issuer.token(sub=subject, scope=scopes)}",
            "Idempotency-Key": "1",
        }
        await http.post("/v1/orders", json=ORDER, headers=headers)
    assert contexts.ids[0] != contexts.ids[1]
    assert contexts.bodies[0]["order_id"] != contexts.bodies[1]["order_id"]


async def test_without_an_idempotency_key_every_request_is_a_new_command(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    for _ in range(2):
        await http.post("/v1/orders", json=ORDER)
    assert contexts.ids[0] != contexts.ids[1]
    assert contexts.bodies[0]["order_id"] < contexts.bodies[1]["order_id"], "ids of later things sort later"


@pytest.mark.parametrize("key", ["abc", "basket 7", "a:b,c;d=e", 'say "hi" \\ now', "x" * 255])
async def test_a_key_in_quotes_is_the_same_key(http: httpx.AsyncClient, contexts: Contexts, key: str) -> None:
    escaped = key.replace("\\", r"\\").replace('"', r"\"")
    for sent in (key, f'"{escaped}"'):
        answer = await http.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": sent})
        assert answer.status_code == 201, answer.text
    assert contexts.ids[0] == contexts.ids[1]
    assert contexts.bodies[0] == contexts.bodies[1]


async def test_tokens_and_the_time_to_wait_go_with_the_command(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    headers = [("Consistency-Token", "catalog:3.1, customers:9.2"), ("Consistency-Token", "ordering:1.15")]
    await http.post("/v1/orders", json=ORDER, headers=[*headers, ("Prefer", "respond-async, wait=20")])
    envelope = from_headers(contexts.received[0].headers)
    assert envelope.after == (Token("catalog", 3, 1), Token("customers", 9, 2), Token("ordering", 1, 15))
    assert envelope.deadline - envelope.time == timedelta(seconds=20)


async def test_the_trace_goes_with_the_command(http: httpx.AsyncClient, contexts: Contexts) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await http.post("/v1/orders", json=ORDER, headers={"traceparent": trace})
    envelope = from_headers(contexts.received[0].headers)
    assert envelope.traceparent == trace
    assert envelope.correlation_id == "0af7651916cd43dd8448eb211c80319c"
    assert answer.headers["X-Correlation-Id"] == envelope.correlation_id


async def test_a_correlation_id_that_could_break_a_log_is_replaced(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    answer = await http.post("/v1/orders", json=ORDER, headers={"X-Correlation-Id": "a b {}"})
    given = answer.headers["X-Correlation-Id"]
    assert uuid.UUID(given).version == 7
    assert from_headers(contexts.received[0].headers).correlation_id == given


@pytest.mark.parametrize(
    ("kind", "status", "type_"),
    [
        (RefusalKind.REJECTED, 409, "rejected"),
        (RefusalKind.UNKNOWN, 404, "not-found"),
        (RefusalKind.INVALID, 400, "invalid"),
        (RefusalKind.REUSED, 422, "idempotency-key-reused"),
        (RefusalKind.STALE, 412, "stale-version"),
        (RefusalKind.EXPIRED, 503, "expired"),
        (RefusalKind.BUSY, 503, "busy"),
        (RefusalKind.UNAVAILABLE, 503, "unavailable"),
        (RefusalKind.BEHIND, 503, "projection-behind"),
    ],
)
async def test_every_refusal_is_a_problem_with_its_rule(
    http: httpx.AsyncClient, contexts: Contexts, kind: Any, status: int, type_: str
) -> None:
    contexts.answers = lambda _: Refused(kind, "no more than six", version=4)
    answer = await http.post("/v1/orders", json=ORDER, headers={"X-Correlation-Id": "basket-7"})
    problem = assert_problem(answer, status, type_)
    assert problem["detail"] == "no more than six"
    assert problem["instance"] == "/v1/orders"
    assert problem["correlation_id"] == "basket-7"
    assert problem.get("version") == (4 if kind is RefusalKind.STALE else None)
    assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)


async def test_what_a_context_says_when_the_time_is_over_is_still_heard(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    contexts.late = True
    contexts.answers = lambda _: Refused(RefusalKind.BEHIND, "ordering has not yet heard what came before")
    headers = {"Consistency-Token": "catalog:99.1", "Prefer": "wait=1"}
    assert_problem(await http.post("/v1/orders", json=ORDER, headers=headers), 503, "projection-behind")


@pytest.mark.parametrize("scopes", ["orders:write orders:price"])
async def test_a_caller_who_may_agree_prices_states_them(http: httpx.AsyncClient, contexts: Contexts) -> None:
    body = {**ORDER, "lines": [{**LINES[0], "unit_price": 5}], "placed_at": "2010-12-01T08:26:00Z"}
    answer = await http.post("/v1/orders", json=body)
    assert answer.status_code == 201
    assert contexts.bodies[0]["lines"][0]["unit_price"] == 5
    assert contexts.bodies[0]["placed_at"] == "2010-12-01T08:26:00Z"


@pytest.mark.parametrize(
    "stated", [{"placed_at": "2010-12-01T08:26:00Z"}, {"lines": [*LINES, {**LINES[0], "unit_price": 5}]}]
)
async def test_other_callers_may_not_state_prices_or_dates(
    http: httpx.AsyncClient, contexts: Contexts, stated: Json
) -> None:
    problem = assert_problem(await http.post("/v1/orders", json=ORDER | stated), 403, "missing-scope")
    assert "orders:price" in problem["detail"]
    assert contexts.received == []


@pytest.mark.parametrize(
    "stated", [{"placed_at": "2010-12-01T08:26:00Z"}, {"lines": [*LINES, {**LINES[0], "unit_price": 5}]}]
)
async def test_a_customer_states_no_prices_or_dates_whoever_issued_the_token(
    gateway: Gateway, issuer: Issuer, contexts: Contexts, stated: Json
) -> None:
    """A 500.00 product for 0.01: not even with a token that says they may."""
    token = issuer.token(scope="orders:write orders:price", sub=ORDER["customer_id"], role="customer")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, headers=headers) as client:
        problem = assert_problem(await client.post("/v1/orders", json=ORDER | stated), 403, "missing-scope")
        assert "orders:price" in problem["detail"]
        assert contexts.received == []
        assert (await client.post("/v1/orders", json=ORDER)).status_code == 201


async def test_a_hundred_commands_are_under_way_at_once(http: httpx.AsyncClient, contexts: Contexts) -> None:
    contexts.hold = asyncio.Event()
    sent = [asyncio.create_task(http.post("/v1/orders", json=ORDER)) for _ in range(100)]
    await contexts.wait_for(100)
    contexts.hold.set()
    assert {answer.status_code for answer in await asyncio.gather(*sent)} == {201}
