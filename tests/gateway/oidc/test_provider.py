"""Tokens of a certified OpenID provider, known by nothing but its issuer's address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx
import jwt
import pytest

from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.oidc.browser import sign_in
from tests.gateway.oidc.conftest import Provider
from tests.gateway.oidc.keys import new_key
from tests.gateway.problems import assert_problem
from tests.support.deadlines import HOLDS_SECONDS

pytestmark = pytest.mark.oidc

WRITE = "orders:write"


async def place(gateway: Gateway, token: str, customer_id: str = "ann") -> httpx.Response:
    """Place an order with a token."""
    order = {
        "customer_id": customer_id,
        "lines": [{"sku": "MUG", "quantity": 1}],
        "payment_method": "tok_approve",
    }
    async with httpx.AsyncClient(base_url=gateway.url, timeout=HOLDS_SECONDS) as client:
        return await client.post("/v1/orders", json=order, headers={"Authorization": f"Bearer {token}"})


async def answered(gateway: Gateway, token: str, status: int) -> httpx.Response:
    """The first answer of this status."""
    deadline = time.monotonic() + HOLDS_SECONDS
    while (answer := await place(gateway, token)).status_code != status:
        assert time.monotonic() < deadline, answer.text
        await asyncio.sleep(0.05)
    return answer


async def test_a_program_with_client_credentials_is_let_in(
    gateway: Gateway, provider: Provider, contexts: Contexts
) -> None:
    token = await provider.back_ends_token()
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert (await place(gateway, token)).status_code == 201
    reading = await provider.back_ends_token("orders:read")
    assert_problem(await place(gateway, reading), 403, "missing-scope")


async def test_a_customer_who_signed_in_orders_for_nobody_else(
    gateway: Gateway, provider: Provider, contexts: Contexts
) -> None:
    tokens = await sign_in(provider.url, "ann", f"openid {WRITE}")
    assert (await place(gateway, tokens["access_token"])).status_code == 201
    assert_problem(await place(gateway, tokens["access_token"], "bob"), 403, "not-yours")


async def test_what_says_who_signed_in_is_no_bearer_token(gateway: Gateway, provider: Provider) -> None:
    """The ID token has the same issuer and the same key; it is meant for the web site."""
    tokens = await sign_in(provider.url, "ann", f"openid {WRITE}")
    problem = assert_problem(await place(gateway, tokens["id_token"]), 401, "unauthenticated")
    assert "another audience" in problem["detail"]


async def test_no_request_fails_while_the_provider_exchanges_its_keys(
    gateway: Gateway, provider: Provider, contexts: Contexts
) -> None:
    """Each new key signs from the moment it is published: nobody has heard of it before it is used."""
    statuses: list[int] = []
    kids: set[str] = set()
    done = asyncio.Event()

    async def work() -> None:
        while not done.is_set():
            token = await provider.back_ends_token()
            kids.add(jwt.get_unverified_header(token)["kid"])
            statuses.extend([(await place(gateway, token)).status_code for _ in range(3)])

    async def served(count: int) -> None:
        seen = len(statuses)
        async with asyncio.timeout(HOLDS_SECONDS):
            while len(statuses) < seen + count:
                await asyncio.sleep(0.01)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    await served(12)
    for kid in ("second", "third"):
        await asyncio.to_thread(provider.rotate, kid)
        await served(24)
    done.set()
    await asyncio.gather(*workers)
    assert kids == {"first", "second", "third"}
    assert set(statuses) == {201}, f"of {len(statuses)} requests"


async def test_a_withdrawn_key_proves_nothing_as_soon_as_the_new_one_is_seen(
    gateway: Gateway, provider: Provider, contexts: Contexts
) -> None:
    before = await provider.back_ends_token()
    assert (await place(gateway, before)).status_code == 201
    await asyncio.to_thread(provider.rotate, "second", keep=0)
    assert (await place(gateway, await provider.back_ends_token())).status_code == 201
    assert_problem(await place(gateway, before), 401, "unauthenticated")


async def test_while_the_provider_is_down_its_tokens_are_good_as_before(
    gateway: Gateway, provider: Provider, contexts: Contexts
) -> None:
    known, never_shown = await provider.back_ends_token(), await provider.back_ends_token()
    assert (await place(gateway, known)).status_code == 201
    stranger = jwt.encode(
        jwt.decode(known, options={"verify_signature": False}),
        jwt.PyJWK(new_key("made-up")).key,
        "RS256",
        headers={"kid": "made-up", "typ": "at+jwt"},
    )
    provider.process.kill()
    for token in (known, never_shown):
        assert (await place(gateway, token)).status_code == 201
    assert_problem(await place(gateway, stranger), 401, "unauthenticated")


async def test_when_the_provider_is_down_for_too_long_nobody_is_believed_until_it_is_back(
    new_gateway: Callable[..., Gateway], provider: Provider, contexts: Contexts
) -> None:
    gateway = new_gateway(ORDERFOLD_JWKS_MAX_AGE="2")
    gateway.start()
    token = await provider.back_ends_token()
    assert (await place(gateway, token)).status_code == 201
    provider.process.kill()
    problem = assert_problem(await answered(gateway, token, 503), 503, "unavailable")
    assert problem["detail"] == "the keys of bearer tokens were read too long ago"
    async with httpx.AsyncClient(base_url=gateway.url, timeout=HOLDS_SECONDS) as client:
        serving = await client.get("/health/serving")
    assert serving.status_code == 503
    assert serving.json()["checks"]["keys"]["problem"] == problem["detail"]
    provider.process.start()
    await answered(gateway, token, 201)


async def test_a_gateway_that_starts_before_the_provider_waits_for_it(
    new_gateway: Callable[..., Gateway], provider: Provider, contexts: Contexts
) -> None:
    token = await provider.back_ends_token()
    provider.process.kill()
    gateway = new_gateway()
    gateway.process.start()
    gateway.wait_for_log("nats connected", "token keys not loaded")
    answer = await place(gateway, token)
    problem = assert_problem(answer, 503, "unavailable")
    assert "keys of bearer tokens" in problem["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    provider.process.start()
    await answered(gateway, token, 201)
