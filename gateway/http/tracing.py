"""The gateway as seen by a trace: each request to the API is a span, begun here or where the client says."""

from __future__ import annotations

from typing import Any, cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.header_lines import combined
from gateway.http.trace_context import parent_of
from infra.observability import tracing

TRACE_CONTEXT = (b"traceparent", b"tracestate")
API = "/v1/"
"""What is asked for every few seconds, such as metrics and health, is in no trace."""


def traced(app: ASGIApp) -> ASGIApp:
    """The application with a span around each request; the application itself while tracing is off."""
    return Traced(app) if tracing.tracing_is_on() else app


class Traced:
    """Has requests continue the trace of a span around them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        carrier = cast("dict[str, Any]", scope)
        headers = [line for line in carrier["headers"] if line[0] not in TRACE_CONTEXT]
        parent = parent_of(combined(carrier["headers"]))
        if parent.tracestate:
            headers.append((b"tracestate", parent.tracestate.encode()))
        method, path = carrier["method"], carrier["path"]
        with tracing.receiving(method, path, parent.traceparent, parent.tracestate) as span:
            traceparent = span.traceparent.encode()
            carrier["headers"] = [*headers, (b"traceparent", traceparent)]

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"traceresponse", traceparent)]
                    tracing.responded(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, answer)
            finally:
                route = carrier.get("path_template")
                if route:
                    template = route.replace(":str}", "}")
                    span.note("http.route", template)
                    span.name(f"{carrier['method']} {template}")
