"""Clients that are slow, or send too much, cost themselves time and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.access import MOST_OF_ONE_CLIENT
from gateway.front import MOST_UNDER_WAY
from gateway.server import BACKLOG, HEADER_BYTES, HEADER_MILLISECONDS
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem

SLOW = 200
ORDER = {"customer_id": "c-1", "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "tok_approve"}
REQUESTS = 100

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connections(gateway: Gateway, count: int) -> AsyncIterator[list[Connection]]:
    """So many of them, closed in the end."""
    opened = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(count)]
    try:
        yield opened
    finally:
        for _, writer in opened:
            writer.close()


async def drip(writer: asyncio.StreamWriter, start: bytes) -> None:
    """Begin a request, and go on with it a byte at a time, as long as it is taken."""
    with contextlib.suppress(OSError):
        writer.write(start)
        while True:
            await writer.drain()
            await asyncio.sleep(0.5)
            writer.write(b"x")


async def slowest(http: httpx.AsyncClient) -> float:
    """The longest of a hundred requests one after the other, in seconds."""
    longest = 0.0
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        assert (await http.post("/v1/orders", json=ORDER)).status_code == 201
        longest = max(longest, time.perf_counter() - begun)
    return longest


async def ended(connection: Connection) -> bytes:
    """What came until the gateway closed the connection."""
    with contextlib.suppress(OSError):
        return await connection[0].read()
    return b""


async def test_slow_connections_do_not_make_others_wait_and_are_ended(
    gateway: Gateway, http: httpx.AsyncClient, contexts: Contexts, issuer: Issuer
) -> None:
    """A quarter of them says nothing, a half never ends its headers, a quarter never ends its body."""
    token = issuer.token(scope="orders:write")
    head = b"POST /v1/orders HTTP/1.1\r\nHost: a\r\nX-Slow: "
    body = (
        f"POST /v1/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    ).encode()
    starts = {0: b"", 1: head, 2: head, 3: body}
    async with connections(gateway, SLOW) as slow:
        dripping = [
            asyncio.create_task(drip(writer, starts[number % 4]))
            for number, (_, writer) in enumerate(slow)
            if number % 4
        ]
        assert await slowest(http) < 1
        async with asyncio.timeout(2 * HEADER_MILLISECONDS / 1_000):
            bodies = await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in slow[3::4]))
            unread = [connection for number, connection in enumerate(slow) if number % 4 != 3]
            assert set(await asyncio.gather(*map(ended, unread))) == {b""}
        for task in dripping:
            task.cancel()
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in bodies)
    assert all(b"connection: close" in answer.lower() for answer in bodies)


async def test_more_silent_connections_than_wait_to_be_accepted_keep_nobody_out(
    gateway: Gateway, contexts: Contexts, http: httpx.AsyncClient
) -> None:
    """What accepts connections would by itself stop at a thousand, until they are ended after ten seconds."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with connections(gateway, BACKLOG + 500):
        async with asyncio.timeout(5):
            assert (await http.post("/v1/orders", json=ORDER)).status_code == 201


def unfinished(token: str) -> bytes:
    """A command whose body never ends."""
    return (
        f"POST /v1/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    ).encode()


async def until_busy(http: httpx.AsyncClient) -> httpx.Response:
    async with asyncio.timeout(8):
        while (answer := await http.get("/v1/orders?cursor=")).status_code == 400:
            await asyncio.sleep(0.05)
    return answer


async def test_one_client_leaves_room_for_others(
    gateway: Gateway, http: httpx.AsyncClient, contexts: Contexts, issuer: Issuer
) -> None:
    async with connections(gateway, MOST_OF_ONE_CLIENT) as slow:
        for _, writer in slow:
            writer.write(unfinished(issuer.token(scope="orders:write")))
        problem = assert_problem(await until_busy(http), 503, "busy")
        assert f"one client may have {MOST_OF_ONE_CLIENT}" in problem["detail"]
        other = {"Authorization": f"Bearer {issuer.token(scope='orders:write', sub='shop-2')}"}
        assert (await http.post("/v1/orders", json=ORDER, headers=other)).status_code == 201


async def test_requests_under_way_are_bounded_and_more_are_told_to_come_back(
    gateway: Gateway, http: httpx.AsyncClient, issuer: Issuer
) -> None:
    """Each holds what came of its body. Health is still told: the process is not to be killed for it."""
    tokens = [issuer.token(scope="orders:write", sub=f"slow-{number}") for number in range(4)]
    async with connections(gateway, MOST_UNDER_WAY) as slow:
        for number, (_, writer) in enumerate(slow):
            writer.write(unfinished(tokens[number % len(tokens)]))
        answer = await until_busy(http)
        assert_problem(answer, 503, "busy")
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await http.get("/health/live")).status_code == 200


async def test_clients_that_do_not_take_their_answers_do_not_make_others_wait(
    gateway: Gateway, http: httpx.AsyncClient, contexts: Contexts
) -> None:
    """Each asks for the documentation a hundred times on one connection and reads nothing."""
    async with connections(gateway, 50) as greedy:
        for _, writer in greedy:
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        assert await slowest(http) < 1


@pytest.mark.parametrize(
    "headers",
    [
        b"X-Large: " + b"x" * 4 * HEADER_BYTES,
        b"\r\n".join(b"X-%d: x" % number for number in range(200)),
    ],
    ids=["too large", "too many"],
)
async def test_headers_have_limits(gateway: Gateway, headers: bytes) -> None:
    async with connections(gateway, 1) as [(reader, writer)]:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n\r\n")
        async with asyncio.timeout(5):
            assert b" 431 " in await ended((reader, writer))


async def test_a_path_has_a_limit(gateway: Gateway) -> None:
    async with connections(gateway, 1) as [(reader, writer)]:
        writer.write(b"GET /v1/orders?cursor=" + b"x" * 4 * HEADER_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await ended((reader, writer)))[9:12] in {b"414", b"431"}
