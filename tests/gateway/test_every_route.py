"""Every route of the OpenAPI document and every kind of token: the answer is the one that is documented.

The routes come from the document the gateway serves, so that a new one cannot be forgotten here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import make_litestar, make_services
from gateway.openapi.document import document
from infra.security.webhook_signature import new_secret
from infra.settings import Settings
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.examples import ADDRESS

Json = dict[str, Any]

OWN, OTHER = "ann", "bob"
IDS = {"sku": "MUG", "order_id": "42", "customer_id": OWN}
LINES = [{"sku": "MUG", "quantity": 1}]
BODIES: dict[str, Json] = {
    "addProduct": {"sku": "MUG", "name": "Mug", "unit_price": 950, "currency": "GBP"},
    "renameProduct": {"name": "Mug"},
    "repriceProduct": {"unit_price": 950},
    "receiveStock": {"quantity": 1},
    "adjustStock": {"delta": 1, "reason": "counted"},
    "registerCustomer": {"customer_id": OWN, "name": "Ann", "email": "a@b.example", "address": ADDRESS},
    "changeEmail": {"email": "a@b.example"},
    "changeAddress": {"address": ADDRESS},
    "placeOrder": {"customer_id": OWN, "lines": LINES, "payment_method": "tok_approve"},
    "cancelOrder": {"reason": "changed my mind"},
    "requestReturn": {"lines": LINES, "reason": "chipped"},
    "withdrawReturn": {"return_id": "r1"},
    "refuseReturn": {"return_id": "r1", "reason": "worn"},
    "abandonFulfilment": {"reason": "settled by hand"},
    "settleFulfilment": {"reason": "settled by hand", "payment": "outside"},
    "resumeFulfilment": {"reason": "the provider is back"},
    "dispatchShipment": {"carrier": "DHL", "tracking": "T1"},
}
"""Bodies that fit, of the operations that take one."""
QUERIES = {"listDailySales": {"from": "2026-01-01", "to": "2026-01-31"}}
"""Query strings of the operations that cannot do without."""


def operations() -> list[Any]:
    """Every operation with a token: its path, method and description."""
    described = document(make_litestar(make_services(Settings())).routes, "0")
    return [
        pytest.param(path, method, operation, id=operation["operationId"])
        for path, methods in sorted(described["paths"].items())
        for method, operation in sorted(methods.items())
        if operation["security"]
    ]


OPERATIONS = operations()
ANOTHER = Issuer.another()
every_operation = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str], mongo_process: Any
) -> Iterator[Gateway]:
    """A gateway with empty read models."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    (folder / "secret").write_text(new_secret())
    settings = {"ORDERFOLD_MONGO_URL": mongo_process.url, "ORDERFOLD_MONGO_DATABASE": "every_route"}
    gateway = Gateway(folder, environ | settings)
    gateway.start()
    yield gateway
    gateway.process.kill()


async def ask(gateway: Gateway, path: str, method: str, operation: Json, token: str | None) -> httpx.Response:
    """Send what fits in all but its token."""
    name = operation["operationId"]
    body = BODIES.get(name)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, timeout=HOLDS_SECONDS, verify=False
    ) as client:
        answer = await client.request(method, path.format(**IDS), json=body, params=QUERIES.get(name))
    assert str(answer.status_code) in operation["responses"], answer.text
    return answer


def scope_of(operation: Json) -> str:
    [wanted] = operation["security"]
    [scope] = wanted["bearer"]
    return str(scope)


def succeeds(answer: httpx.Response, operation: Json) -> None:
    """It was let through: carried out, or there is no such thing in empty read models."""
    if answer.status_code == 404:
        assert_problem(answer, 404, "not-found")
    elif answer.status_code == 503:
        # A history needs the contexts' logs, which nobody serves here: that is behind the door.
        assert operation["operationId"] == "getOrderHistory"
        assert_problem(answer, 503, "unavailable")
    else:
        assert answer.is_success, answer.text


@every_operation
async def test_without_a_token_nobody_gets_in(
    gateway: Gateway, path: str, method: str, operation: Json
) -> None:
    assert_problem(await ask(gateway, path, method, operation, None), 401, "unauthenticated")


@every_operation
async def test_a_token_that_proves_nothing_is_refused(
    gateway: Gateway, issuer: Issuer, path: str, method: str, operation: Json
) -> None:
    scope = scope_of(operation)
    good = issuer.token(scope=scope)
    head, claims, _ = good.split(".")
    tokens = {
        "bad signature": f"{head}.{claims}.{'A' * 342}",
        "none": issuer.unsigned(scope=scope),
        "HS256 with the public key": issuer.confused(scope=scope),
        "expired": issuer.token(scope=scope, exp=int(time.time()) - 3_600),
        "not yet valid": issuer.token(scope=scope, nbf=int(time.time()) + 3_600),
        "wrong audience": issuer.token(scope=scope, aud="another"),
        "wrong issuer": issuer.token(scope=scope, iss="https://elsewhere.test"),
        "foreign key": ANOTHER.token(scope=scope),
    }
    for kind, token in tokens.items():
        answer = await ask(gateway, path, method, operation, token)
        assert answer.status_code == 401, kind
        assert_problem(answer, 401, "unauthenticated")


@every_operation
async def test_a_token_without_the_scope_is_refused(
    gateway: Gateway, issuer: Issuer, path: str, method: str, operation: Json
) -> None:
    every = {scope_of(param.values[2]) for param in OPERATIONS}
    token = issuer.token(scope=" ".join(every - {scope_of(operation)}))
    answer = await ask(gateway, path, method, operation, token)
    assert_problem(answer, 403, "missing-scope")
    assert scope_of(operation) in answer.headers["WWW-Authenticate"]


@every_operation
async def test_the_right_token_is_let_through(
    gateway: Gateway, issuer: Issuer, contexts: Contexts, path: str, method: str, operation: Json
) -> None:
    token = issuer.token(scope=scope_of(operation))
    succeeds(await ask(gateway, path, method, operation, token), operation)


@every_operation
async def test_a_customers_token_reaches_what_is_documented_for_its_own(
    gateway: Gateway, issuer: Issuer, contexts: Contexts, path: str, method: str, operation: Json
) -> None:
    token = issuer.token(scope=scope_of(operation), role="customer", sub=OWN)
    answer = await ask(gateway, path, method, operation, token)
    if operation["x-customers"] == "none":
        assert_problem(answer, 403, "not-yours")
        assert contexts.received == []
    else:
        succeeds(answer, operation)


@every_operation
async def test_another_customers_token_reaches_nothing_of_somebody_elses(
    gateway: Gateway, issuer: Issuer, contexts: Contexts, path: str, method: str, operation: Json
) -> None:
    """Where the gateway cannot know whose a thing is, the context is told who asks, and refuses."""
    token = issuer.token(scope=scope_of(operation), roles=["customer"], sub="someone", customer_id=OTHER)
    answer = await ask(gateway, path, method, operation, token)
    about_a_customer = "{customer_id}" in path or OWN in json.dumps(BODIES.get(operation["operationId"]))
    match operation["x-customers"]:
        case "none":
            assert_problem(answer, 403, "not-yours")
        case "own" if about_a_customer:
            assert_problem(answer, 403, "not-yours")
        case "own" if method == "post":
            assert [body["customer_id"] for body in contexts.bodies] == [OTHER]
            return
        case _:
            succeeds(answer, operation)
    assert contexts.received == []


def test_operations_that_take_a_body_have_one_here() -> None:
    taking = {param.id for param in OPERATIONS if param.values[2].get("requestBody", {}).get("required")}
    assert taking == set(BODIES)
