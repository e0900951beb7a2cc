"""Every status that the description has of an operation is answered, as it is described.

The operations and their statuses come from the description, so that a new one cannot be forgotten here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from contexts import NAMES as CONTEXTS
from infra.embedded.stack import EmbeddedStack
from infra.security.webhook_signature import read_secret
from tests.gateway.conftest import Gateway
from tests.gateway.fuzz.asking import OPERATIONS, Operation
from tests.gateway.fuzz.client import LIMITED, PREFERRED, TRACED, Client, has_all_headers, hold
from tests.gateway.fuzz.conftest import Issuer
from tests.gateway.fuzz.provocations import NEVER, PROVOKED, Gateways, never_ending
from tests.gateway.fuzz.shop import becomes_stuck
from tests.gateway.problems import assert_problem
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.shop import Shop

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

STINGY = {f"ORDERFOLD_LIMIT_{name}": "1/3600" for name in ("READS", "COMMANDS", "OPEN")}
LONELY = {"ORDERFOLD_NATS_URL": "nats://127.0.0.1:1"}


def another(stack: EmbeddedStack, folder: Path, **settings: str) -> Gateway:
    """One more gateway of the same stack."""
    own = {"ORDERFOLD_PORT", "ORDERFOLD_DATA"}
    shared = {name: value for name, value in stack.environment.items() if name not in own}
    folder.mkdir()
    return Gateway(folder, shared | settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(
    stack: EmbeddedStack, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateways]:
    """The stack's own gateway, and one that lets next to nothing through and reaches nobody."""
    token, key, port = issuer.token(), read_secret(stack.folder.webhook_secret), httpx.URL(stack.url).port
    assert port is not None
    slow = {
        name: asyncio.create_task(never_ending(port, operation, token))
        for name, operation in OPERATIONS.items()
        if 408 in operation.statuses
    }
    async with Shop(stack.url, token) as shop:
        await becomes_stuck(shop, "stuck")
    miser = another(stack, tmp_path_factory.mktemp("gateways") / "stingy", **STINGY, **LONELY)
    miser.process.start()
    try:
        async with (
            httpx.AsyncClient(base_url=stack.url, timeout=HOLDS_SECONDS) as ready,
            httpx.AsyncClient(base_url=miser.url, timeout=HOLDS_SECONDS) as stingy,
        ):
            yield Gateways(
                ready=Client(ready, token, key),
                powerless=Client(ready, issuer.token(scopes=""), key),
                stingy=Client(stingy, token, key),
                port=port,
                slow=slow,
            )
    finally:
        for task in slow.values():
            task.cancel()
        miser.process.kill()


@pytest.mark.parametrize(
    ("status", "operation"),
    [
        pytest.param(status, operation, id=f"{status}-{operation.name}")
        for status in sorted(PROVOKED)
        for operation in OPERATIONS.values()
        if status in operation.statuses
    ],
)
async def test_every_status_is_answered_as_it_is_described(
    gateways: Gateways, status: int, operation: Operation
) -> None:
    """With all the headers that are described, and no other."""
    answer = await PROVOKED[status](gateways, operation)
    assert answer.status_code == status, answer.text
    described = hold(operation, answer)
    has_all_headers(described, answer, sometimes=PREFERRED | (TRACED if status == 429 else TRACED | LIMITED))


async def test_a_gateway_that_stops_answers_503_to_everything(
    stack: EmbeddedStack, issuer: Issuer, tmp_path: Path
) -> None:
    gateway = another(stack, tmp_path / "stopping")
    gateway.start()
    order = OPERATIONS["placeOrder"]
    under_way = asyncio.create_task(never_ending(gateway.port, order, issuer.token()))
    async with httpx.AsyncClient(base_url=gateway.url, timeout=HOLDS_SECONDS) as http:
        client = Client(http, issuer.token(), b"")
        while "in_flight 2.0" not in (await client.send(OPERATIONS["metrics"])).text:
            await asyncio.sleep(0.01)
        os.kill(gateway.process.pid, signal.SIGTERM)
        gateway.wait_for_log("gateway stops")
        answers = await asyncio.gather(*(client.send(operation) for operation in OPERATIONS.values()))
    for operation, answer in zip(OPERATIONS.values(), answers, strict=True):
        assert_problem(answer, 503, "unavailable")
        hold(operation, answer)
    under_way.cancel()
    gateway.process.kill()


@pytest.mark.parametrize("name", ["ready", "serving"])
async def test_what_is_missing_is_told_with_503(gateways: Gateways, name: str) -> None:
    answer = await gateways.stingy.send(OPERATIONS[name])
    assert (answer.status_code, answer.json()["checks"]["nats"]["ok"]) == (503, False)
    hold(OPERATIONS[name], answer)


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(operation, id=operation.name)
        for operation in OPERATIONS.values()
        if operation.takes("Consistency-Token")
        # The other commands' contexts hear of no other, and have nothing to wait for.
        if operation.method == "get" or operation.path.startswith(("/v1/orders", "/v1/fulfilments"))
    ],
)
async def test_a_token_of_what_is_not_there_is_waited_for_and_answered_503(
    gateways: Gateways, operation: Operation
) -> None:
    tokens = ",".join(f"{context}:999999999.0" for context in CONTEXTS)
    answer = await gateways.ready.send(operation, Consistency_Token=tokens, Prefer="wait=0")
    assert_problem(answer, 503, "projection-behind")
    has_all_headers(hold(operation, answer), answer)


async def test_every_status_that_is_described_is_brought_about_here() -> None:
    described = {status for operation in OPERATIONS.values() for status in operation.statuses}
    assert described == PROVOKED.keys() | NEVER.keys() | {503}
    assert all(503 in operation.statuses for operation in OPERATIONS.values())
