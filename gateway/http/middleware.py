"""Where every request comes in and its answer goes out: correlated, counted, let finish before the end."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from gateway.dependencies import Services
from gateway.http.access_log import AccessLog
from gateway.http.cors import Cors
from gateway.http.methods import EVERYWHERE, told
from gateway.http.rate_limiting import count_by_address
from gateway.http.request import KEY, RequestContext
from gateway.http.response import Answer
from gateway.problems import BUSY, MEDIA_TYPE, NOT_FOUND, UNAVAILABLE, Kind, Problem, encoded
from infra.aio import wait_for_event
from infra.observability.logging.setup import trace_of

UNMATCHED = "unmatched"
"""The route of a request that fits none: paths are endless, label values must not be."""

MOST_UNDER_WAY = 1_024
"""Requests at once, each of which may hold a body; others are told to come back. Health is always told."""
HEALTH = "/health/"

METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"})
OTHER = "_OTHER"
"""The label of all other methods: anybody can make up more."""

ROUTED_AS = {"HEAD": "GET"}
"""The server leaves the content out."""

UNUSUAL_PATH = re.compile(rb"//|./$|%2f|%(?![0-9a-f]{2})", re.IGNORECASE)
"""Two slashes, one at the end, or an encoded one: another path than the one that looks like it."""

GIVEN_UP = "this gateway had to stop before the answer was known; ask again with the same idempotency key"


class Front:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, services: Services, log: AccessLog, cors: Cors) -> None:
        self._app = app
        self._cors = cors
        self._services = services
        self._log = log
        self._under_way = 0
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        services.metrics.in_flight.set_function(lambda: self._under_way)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        incoming = RequestContext(self._services, scope, receive)
        carrier = cast("dict[str, Any]", scope)
        carrier[KEY] = incoming
        # Each request is a task of its own, and so is what it binds.
        structlog.contextvars.bind_contextvars(correlation_id=incoming.correlation_id)
        if incoming.traceparent:
            structlog.contextvars.bind_contextvars(trace_id=trace_of(incoming.traceparent))
        correlation = (b"x-correlation-id", incoming.correlation_id.encode())
        carrier["method"] = ROUTED_AS.get(incoming.method, incoming.method)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    correlation,
                    *incoming.told,
                    *self._cors.headers(incoming),
                ]
            await send(message)

        self._under_way += 1
        self._idle.clear()
        try:
            if self._closing:
                await closing(incoming, "this gateway is stopping; try again")(scope, receive, answer)
            elif self._under_way > MOST_UNDER_WAY and not scope["path"].startswith(HEALTH):
                await closing(incoming, "too many requests are under way; try again", BUSY)(
                    scope, receive, answer
                )
            else:
                await (self._at_once(incoming) or self._app)(scope, receive, answer)
        except asyncio.CancelledError:
            if self._closing and not status:
                await closing(incoming, GIVEN_UP)(scope, receive, answer)
            raise
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._idle.set()
            carrier["method"] = incoming.method
            route = (carrier.get("path_template") or UNMATCHED).replace(":str}", "}")
            seconds = time.perf_counter() - started
            method = incoming.method if incoming.method in METHODS else OTHER
            self._services.metrics.answered(route, method, status or 500, seconds)
            self._log.answered(incoming, route, incoming.method, status or 500, seconds)

    def _at_once(self, incoming: RequestContext) -> Answer | None:
        """The answer to what comes to no route; None if it may come to one."""
        problem = problem_of(incoming)
        if problem is None and incoming.method == "OPTIONS":
            preflight = self._cors.preflight(incoming)
            everywhere = told(EVERYWHERE) if incoming.scope["path"] == "*" else None
            if preflight is not None or everywhere is not None:
                problem = one_too_many(incoming)
                if problem is None:
                    return preflight or everywhere
        return None if problem is None else problem_answer(incoming, problem)

    @property
    def under_way(self) -> int:
        """Requests that have come in and are not answered yet."""
        return self._under_way

    async def finish(self, seconds: float) -> None:
        """Refuse new requests; return when those under way are answered, or after so many seconds."""
        self._closing = True
        await wait_for_event(self._idle, seconds)


def problem_of(incoming: RequestContext) -> Problem | None:
    """What is wrong with a request whatever it asks for."""
    try:
        incoming.refuse_ambiguous()
    except Problem as problem:
        return one_too_many(incoming) or problem
    if UNUSUAL_PATH.search(incoming.scope["raw_path"]):
        return one_too_many(incoming) or Problem(NOT_FOUND, "no route matches this path")
    return None


def one_too_many(incoming: RequestContext) -> Problem | None:
    """Count a request that never comes to the guard; the problem if its sender has asked too much."""
    try:
        count_by_address(incoming)
    except Problem as problem:
        return problem
    return None


def closing(incoming: RequestContext, reason: str, kind: Kind = UNAVAILABLE) -> Answer:
    """What a request gets that comes while the gateway stops or is busy, or is not done by its end."""
    return problem_answer(incoming, Problem(kind, reason, headers={"Connection": "close"}))


def problem_answer(incoming: RequestContext, problem: Problem) -> Answer:
    """A problem of a request that comes to no route."""
    structlog.contextvars.bind_contextvars(problem=problem.kind.name)
    details = problem.details(incoming.path, incoming.correlation_id)
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return Answer(problem.kind.status, [(b"content-type", MEDIA_TYPE.encode()), *headers], encoded(details))
