"""What nobody described is refused where the description says so, and taken where it does not."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from infra.embedded.stack import EmbeddedStack
from infra.security.webhook_signature import read_secret
from tests.gateway.fuzz.asking import DESCRIPTION, FITTING, OPERATIONS, Json, Operation
from tests.gateway.fuzz.client import Client
from tests.gateway.fuzz.conftest import Issuer
from tests.gateway.problems import assert_problem
from tests.support.deadlines import HOLDS_SECONDS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

Place = tuple[str | int, ...]


def objects(value: Any, schema: Json, place: Place = ()) -> Iterator[tuple[Place, bool]]:
    """Where the objects of a body are, and whether each is described as closed."""
    described = resolved(schema)
    if isinstance(value, dict):
        yield place, described.get("additionalProperties") is False
        for name, item in value.items():
            yield from objects(item, described["properties"][name], (*place, name))
    elif isinstance(value, list):
        yield from objects(value[0], described["items"], (*place, 0))


def resolved(schema: Json) -> Json:
    # Of a body that may be anything, the form that is understood.
    schema = schema.get("anyOf", [schema])[0]
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Json = DESCRIPTION["components"]["schemas"][name] if name else schema
    return found


def bodies() -> Iterator[Any]:
    for name, (_, body) in FITTING.items():
        operation = OPERATIONS[name]
        schema = operation.described["requestBody"]["content"]["application/json"]["schema"]
        for place, closed in objects(body or {}, schema):
            yield pytest.param(operation, place, closed, id="-".join(map(str, (name, *place))))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(stack: EmbeddedStack, issuer: Issuer) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(base_url=stack.url, timeout=HOLDS_SECONDS) as http:
        yield Client(http, issuer.token(), read_secret(stack.folder.webhook_secret))


@pytest.mark.parametrize(("operation", "place", "closed"), list(bodies()))
async def test_a_field_that_is_not_described_is_refused_where_that_is_described(
    client: Client, operation: Operation, place: Place, *, closed: bool
) -> None:
    body = copy.deepcopy(FITTING[operation.name][1] or {})
    spot = body
    for step in place:
        spot = spot[step]
    spot["surprise"] = 1
    answer = await client.send(operation, body=body)
    if closed:
        problem = assert_problem(answer, 400, "invalid")
        assert "unknown field `surprise`" in problem["detail"]
    else:
        assert answer.is_success, answer.text


@pytest.mark.parametrize(
    "operation", [pytest.param(it, id=it.name) for it in OPERATIONS.values() if it.method == "get"]
)
async def test_a_query_parameter_that_is_not_described_is_refused_by_every_query(
    client: Client, operation: Operation
) -> None:
    """What has no token asks no read model, and takes no notice of the query string."""
    answer = await client.send(operation, query={"surprise": "1"})
    if operation.scope is None:
        assert answer.is_success, answer.text
    else:
        assert_problem(answer, 400, "invalid")


async def test_only_the_webhooks_of_the_payment_provider_are_open_to_further_fields() -> None:
    """The provider may add some; whoever sends a command has misspelled one."""
    assert {param.values[0].name for param in bodies() if not param.values[2]} == {"paymentWebhook"}
