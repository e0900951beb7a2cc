"""How each status is brought about: one way for every operation that has it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpx

from gateway.http.request import BODY_SECONDS, MAX_BODY
from tests.gateway.fuzz.asking import ABOUT, FITTING, FORBIDDEN, NOTHING, OTHERWISE, Operation
from tests.gateway.fuzz.client import Client

NEVER = {500: "a defect of ours: one that could be brought about would be mended"}
"""Statuses that are described and that nothing brings about, and why."""


@dataclass(frozen=True, kw_only=True)
class Gateways:
    """Who is asked."""

    ready: Client
    powerless: Client
    """Its token has no scope."""
    stingy: Client
    """One request an hour is all it lets through."""
    port: int
    """Of the ready one."""
    slow: Mapping[str, asyncio.Task[httpx.Response]]
    """Requests whose bodies never arrive, by operation; begun long ago, for they take ten seconds."""


def key_of(operation: Operation) -> str | None:
    """Sent again, a command is carried out once, and answered in the same way."""
    return f"every-{operation.name}" if operation.takes("Idempotency-Key") else None


async def carried_out(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.ready.send(operation, Idempotency_Key=key_of(operation))


async def misspelled(gateways: Gateways, operation: Operation) -> httpx.Response:
    surprise = {"surprise": "1"}
    if operation.scope is None:
        # It takes no notice of what else it is told, but must be asked of one host.
        return await gateways.ready.send(operation, Host="two hosts")
    if "requestBody" not in operation.described:
        return await gateways.ready.send(operation, query=surprise)
    return await gateways.ready.send(operation, body={**(FITTING[operation.name][1] or {}), **surprise})


async def known_already(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.ready.send(operation, If_None_Match="*")


async def anonymous(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.ready.send(operation, token=None)


async def powerless(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.powerless.send(operation)


async def about_nothing(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.ready.send(operation, NOTHING)


async def slow(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.slow[operation.name]


async def forbidden(gateways: Gateways, operation: Operation) -> httpx.Response:
    ids, body = FORBIDDEN[operation.name]
    return await gateways.ready.send(operation, ids, body)


async def outdated(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.ready.send(operation, If_Match='"999999999"')


async def huge(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.ready.send(operation, body=b" " * (MAX_BODY + 1))


async def in_another_language(gateways: Gateways, operation: Operation) -> httpx.Response:
    return await gateways.ready.send(operation, body=b"<order/>", Content_Type="application/xml")


async def packed(gateways: Gateways, operation: Operation) -> httpx.Response:
    path = operation.path.format(**ABOUT)
    head = f"{operation.method.upper()} {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n"
    return await exchanged(gateways.port, operation, f"{head}\r\n0\r\n\r\n")


async def with_anothers_key(gateways: Gateways, operation: Operation) -> httpx.Response:
    assert (await carried_out(gateways, operation)).is_success
    ids, body = OTHERWISE.get(operation.name, (NOTHING, ...))
    return await gateways.ready.send(operation, ids, body, Idempotency_Key=key_of(operation))


async def once_too_often(gateways: Gateways, operation: Operation) -> httpx.Response:
    await gateways.stingy.send(operation)
    return await gateways.stingy.send(operation)


PROVOKED: dict[int, Callable[[Gateways, Operation], Awaitable[httpx.Response]]] = {
    200: carried_out,
    201: carried_out,
    204: carried_out,
    304: known_already,
    400: misspelled,
    401: anonymous,
    403: powerless,
    404: about_nothing,
    408: slow,
    409: forbidden,
    412: outdated,
    413: huge,
    415: in_another_language,
    422: with_anothers_key,
    429: once_too_often,
    501: packed,
}


async def never_ending(port: int, operation: Operation, token: str) -> httpx.Response:
    """Send a request whose body stops after its first byte; what is answered."""
    path = operation.path.format(**(ABOUT | FITTING[operation.name][0]))
    answer = await exchanged(
        port,
        operation,
        f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    )
    answer.elapsed = timedelta(seconds=BODY_SECONDS)
    return answer


async def exchanged(port: int, operation: Operation, request: str) -> httpx.Response:
    """Send a request as it stands; a client library would put it right."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    headers = httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines)])
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    writer.close()
    sent = httpx.Request(operation.method, f"http://127.0.0.1:{port}{operation.path}")
    answer = httpx.Response(int(status.split()[1]), headers=headers, content=body, request=sent)
    answer.elapsed = timedelta(0)
    return answer
