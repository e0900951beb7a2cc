"""Clients that are slow, or send too much, cost themselves time and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.http.guard import MOST_OF_ONE_CLIENT
from gateway.http.middleware import MOST_UNDER_WAY
from gateway.server import BACKLOG, HEADER_BYTES
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem
from tests.support.deadlines import HOLDS_SECONDS

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


async def served_before_any_ends(http: httpx.AsyncClient, slow: list[Connection]) -> int:
    """How many requests, one after the other and a hundred at most, while every slow connection is open."""
    for served in range(REQUESTS):
        assert (await http.post("/v1/orders", json=ORDER)).status_code == 201
        if any(reader.at_eof() for reader, _ in slow):
            return served
    return REQUESTS


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
        # Whoever had to wait for them would wait until the first of them is ended.
        assert await served_before_any_ends(http, slow)
        async with asyncio.timeout(HOLDS_SECONDS):
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
    async with connections(gateway, BACKLOG + 500) as silent:
        assert (await http.post("/v1/orders", json=ORDER)).status_code == 201
        assert sum(not reader.at_eof() for reader, _ in silent) > BACKLOG, "it was not accepted beside them"


def unfinished(token: str) -> bytes:
    """A command whose body never ends."""
    return (
        f"POST /v1/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    ).encode()


@contextlib.asynccontextmanager
async def under_way(gateway: Gateway, tokens: list[str], count: int) -> AsyncIterator[None]:
    """So many commands whose bodies never end; one that is ended for that is sent again."""

    async def send(token: str) -> None:
        while True:
            async with connections(gateway, 1) as [(reader, writer)]:
                writer.write(unfinished(token))
                await ended((reader, writer))

    sending = [asyncio.create_task(send(tokens[number % len(tokens)])) for number in range(count)]
    try:
        yield
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


async def until_busy(http: httpx.AsyncClient) -> httpx.Response:
    async with asyncio.timeout(HOLDS_SECONDS):
        while (answer := await http.get("/v1/orders?cursor=")).status_code == 400:
            await asyncio.sleep(0.05)
    return answer


async def test_one_client_leaves_room_for_others(
    gateway: Gateway, http: httpx.AsyncClient, contexts: Contexts, issuer: Issuer
) -> None:
    async with under_way(gateway, [issuer.token(scope="orders:write")], MOST_OF_ONE_CLIENT):
        problem = assert_problem(await until_busy(http), 503, "busy")
        assert f"one client may have {MOST_OF_ONE_CLIENT}" in problem["detail"]
        other = {"Authorization": f"Bearer {issuer.token(scope='orders:write', sub='shop-2')}"}
        assert (await http.post("/v1/orders", json=ORDER, headers=other)).status_code == 201


async def test_requests_under_way_are_bounded_and_more_are_told_to_come_back(
    gateway: Gateway, http: httpx.AsyncClient, issuer: Issuer
) -> None:
    """Each holds what came of its body. Health is still told: the process is not to be killed for it."""
    tokens = [issuer.token(scope="orders:write", sub=f"slow-{number}") for number in range(4)]
    async with under_way(gateway, tokens, MOST_UNDER_WAY):
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
        for _ in range(REQUESTS):
            assert (await http.post("/v1/orders", json=ORDER)).status_code == 201


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
        async with asyncio.timeout(HOLDS_SECONDS):
            assert b" 431 " in await ended((reader, writer))


async def test_a_path_has_a_limit(gateway: Gateway) -> None:
    async with connections(gateway, 1) as [(reader, writer)]:
        writer.write(b"GET /v1/orders?cursor=" + b"x" * 4 * HEADER_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(HOLDS_SECONDS):
            assert (await ended((reader, writer)))[9:12] in {b"414", b"431"}
