"""Web pages of other origins: none may read an answer, unless an operator has named it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.problems import assert_problem

SHOP, ADMIN, ELSEWHERE = "https://shop.example", "https://admin.example:8443", "https://elsewhere.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key"}


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Iterator[Gateway]:
    """A gateway that two origins may read."""
    named = {"ORDERFOLD_CORS_ORIGINS": f"{SHOP},{ADMIN}"}
    gateway = Gateway(tmp_path_factory.mktemp("cors"), environ | named)
    gateway.start()
    yield gateway
    gateway.process.kill()


@pytest.mark.parametrize("origin", [SHOP, ADMIN])
@pytest.mark.parametrize("path", ["/health/live", "/v1/orders", "/nothing"])
async def test_a_page_of_a_named_origin_may_read_answers_and_problems(
    open_gateway: Gateway, origin: str, path: str
) -> None:
    async with httpx.AsyncClient(base_url=open_gateway.url) as client:
        answer = await client.get(path, headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Vary"] == "Origin"
    assert {"Consistency-Token", "ETag", "Location", "Retry-After"} <= set(
        answer.headers["Access-Control-Expose-Headers"].split(", ")
    )
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_browser_that_asks_first_is_told_what_a_page_may_send(open_gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=open_gateway.url) as client:
        told = await client.options("/v1/orders", headers={"Origin": SHOP, **PREFLIGHT})
    assert (told.status_code, told.content) == (204, b"")
    assert told.headers["Access-Control-Allow-Origin"] == SHOP
    assert "POST" in told.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in told.headers["Access-Control-Allow-Headers"]
    assert "Authorization" in told.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "origin", [ELSEWHERE, "null", "https://shop.example.evil", "http://shop.example", "*"]
)
async def test_a_page_of_another_origin_reads_nothing(open_gateway: Gateway, origin: str) -> None:
    async with httpx.AsyncClient(base_url=open_gateway.url) as client:
        for answer in (
            await client.get("/health/live", headers={"Origin": origin}),
            await client.options("/v1/orders", headers={"Origin": origin, **PREFLIGHT}),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert answer.headers["Vary"] == "Origin"


async def test_unless_an_origin_is_named_no_page_reads_anything(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        told = await client.options("/v1/orders", headers={"Origin": SHOP, **PREFLIGHT})
        answer = await client.get("/v1/orders", headers={"Origin": SHOP})
    assert told.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert_problem(answer, 401, "unauthenticated")
    assert not [name for name in (*answer.headers, *told.headers) if name.startswith("access-control")]


async def test_all_origins_may_be_named_at_once(new_gateway: Callable[..., Gateway]) -> None:
    gateway = new_gateway(ORDERFOLD_CORS_ORIGINS="*")
    gateway.start()
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        answer = await client.get("/health/live", headers={"Origin": ELSEWHERE})
    assert answer.headers["Access-Control-Allow-Origin"] == ELSEWHERE
