"""Answers as they leave: encoded once, with their headers."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

Header = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")
UNSTORED: Header = (b"cache-control", b"no-store")
"""What a client may see is for nobody else, and is old a moment later."""


def plain(value: Any) -> int:
    """An integer of more than 32 bits as MongoDB's driver reads it, as any other."""
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{type(value)} cannot be shown")


encode = msgspec.json.Encoder(enc_hook=plain).encode


class Answer:
    """A finished answer; Litestar sends it as it is."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[Header], body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        if body:
            headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def json_answer(content: Any, status: int = 200, headers: list[Header] | None = None) -> Answer:
    """Anything msgspec can encode, as JSON."""
    return Answer(status, [JSON, *(headers or [])], encode(content))


def version_tag(version: int) -> str:
    """The ETag of a thing at a version."""
    return f'"{version}"'
