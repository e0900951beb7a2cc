"""One HTTP request as the gateway takes it: who sends it, what goes with it, and its body."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote

from litestar.types import Receive, Scope

from gateway.auth.jwks import KeysTooOld
from gateway.auth.jwks_source import KeysUnavailable
from gateway.auth.roles import RoleUnknown
from gateway.auth.tokens import Caller, TokenRefused
from gateway.dependencies import Services
from gateway.http.header_lines import combined, refuse_ambiguous
from gateway.http.media_type import refuse_other_media
from gateway.http.response import Header
from gateway.http.trace_context import parent_of, trace_in
from gateway.ids import new_id
from gateway.problems import (
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    INVALID,
    MALFORMED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNKNOWN_ROLE,
    Problem,
)
from read_models.projection.documents import ReadModels

MAX_BODY = 1_000_000
"""Bytes; a command must also fit into a NATS message."""
MOST_DISCARDED = 10_000_000
"""Bytes of a body over the limit that are still taken in."""
BODY_SECONDS = 10.0

CORRELATION_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

KEY = "orderfold.request"
"""Where a request's RequestContext is found in its ASGI scope."""


class RequestContext:
    """A request under way."""

    __slots__ = (
        "_caller",
        "_receive",
        "applied",
        "correlation_id",
        "headers",
        "limit_headers",
        "method",
        "scope",
        "services",
        "traceparent",
        "tracestate",
    )

    def __init__(self, services: Services, scope: Scope, receive: Receive) -> None:
        self.services = services
        self.scope = scope
        self.method: str = cast("Any", scope)["method"]
        """As it was sent: HEAD is routed as GET."""
        self.headers = combined(cast("list[tuple[bytes, bytes]]", scope["headers"]))
        self._receive = receive
        self._caller: Caller | None = None
        self.limit_headers: tuple[Header, ...] = ()
        """What the answer tells of the client's limit."""
        self.applied: tuple[Header, ...] = ()
        """What it tells of the preferences that counted."""
        parent = parent_of(self.headers)
        self.traceparent, self.tracestate = parent.traceparent, parent.tracestate
        given = self.headers.get(b"x-correlation-id", b"")
        # One that could break a log line or a message header is replaced rather than refused.
        if CORRELATION_ID.fullmatch(given):
            self.correlation_id = given.decode()
        else:
            self.correlation_id = trace_in(self.traceparent) if self.traceparent else new_id()

    @property
    def path(self) -> str:
        """The path as it was sent, without what a URI may not hold."""
        return quote(self.scope["raw_path"], safe="/%:@!$&'()*+,;=~")

    @property
    def told(self) -> tuple[Header, ...]:
        """Headers of whatever is answered."""
        return self.limit_headers + self.applied

    def refuse_ambiguous(self) -> None:
        """Raise a Problem unless it is clear what is asked, and of whom."""
        refuse_ambiguous(
            cast("list[tuple[bytes, bytes]]", self.scope["headers"]), self.headers, self.scope["http_version"]
        )

    @property
    def caller(self) -> Caller:
        """Who sent it; known on every route that wants a scope."""
        assert self._caller is not None
        return self._caller

    @property
    def actor(self) -> str | None:
        """Who sent it, if that is known by now."""
        return None if self._caller is None else self._caller.actor

    def read_from(self, models: ReadModels) -> None:
        """Answer from these read models: they include what the request's tokens name."""
        if models is not self.services.models:
            self.services = replace(self.services, models=models)

    def header(self, name: bytes) -> str | None:
        """A header's value; None when it is not there."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def key(self, name: str) -> str:
        """An id from the path; raises a Problem when no id looks like that."""
        value = self.scope["path_params"][name]
        if ID.fullmatch(value) is None:
            raise Problem(INVALID, f"{name} in the path is not 1 to 64 letters, digits, _ or -", field=name)
        return value

    async def authenticate(self) -> Caller:
        """Find out who sent it by its bearer token; raises a Problem."""
        scheme, _, token = self.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            raise Problem(
                UNAUTHENTICATED,
                "send the header Authorization: Bearer <token>",
                headers={"WWW-Authenticate": "Bearer"},
            )
        try:
            self._caller = await self.services.tokens.caller(token.strip())
        except TokenRefused as refused:
            raise Problem(
                UNAUTHENTICATED,
                str(refused),
                headers={"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{refused}"'},
            ) from refused
        except RoleUnknown as error:
            raise Problem(UNKNOWN_ROLE, str(error)) from error
        except KeysTooOld as error:
            raise Problem(UNAVAILABLE, "the keys of bearer tokens were read too long ago") from error
        except KeysUnavailable as error:
            raise Problem(UNAVAILABLE, "the keys of bearer tokens cannot be read at the moment") from error
        return self._caller

    async def body(self) -> bytes:
        """The whole body; raises a Problem when it is too large or too slow."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read()
        except TimeoutError:
            raise Problem(
                BODY_TOO_SLOW,
                f"the body did not arrive within {BODY_SECONDS:g} s",
                headers={"Connection": "close"},
            ) from None
        if body is None:
            raise Problem(
                BODY_TOO_LARGE, f"the body may have {MAX_BODY:,} bytes", headers={"Connection": "close"}
            )
        return body

    async def _read(self) -> bytes | None:
        """The body; None if it is too large.

        The rest of such a one is thrown away, up to a limit: a client that is cut off while it sends may
        never see why.
        """
        parts: list[bytes] = []
        size = 0
        while True:
            event: Any = await self._receive()
            if event["type"] == "http.disconnect":
                raise Problem(MALFORMED, "the body ended early")
            part = event.get("body", b"")
            size += len(part)
            if size <= MAX_BODY:
                parts.append(part)
            if not event.get("more_body", False) or size > MOST_DISCARDED:
                return b"".join(parts) if size <= MAX_BODY else None

    async def json(self) -> bytes:
        """The body, which must be declared as JSON unless it is empty; raises a Problem."""
        body = await self.body()
        if body:
            refuse_other_media(self.headers)
        return body


def request_context(scope: Any) -> RequestContext:
    """The request an ASGI scope belongs to."""
    return cast("RequestContext", scope[KEY])
