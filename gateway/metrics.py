"""/metrics, for Prometheus."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, get

from gateway.http.guard import Access
from gateway.http.request import request_context
from gateway.http.response import Answer
from gateway.http.route_contract import Contract

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@get(
    "/metrics",
    name="metrics",
    opt={
        "contract": Contract(
            access=Access.OPEN,
            summary="What the gateway counts and times",
            description="Prometheus' text format. Includes how far each read model is behind its events.",
            answer=str,
            media_type="text/plain",
        )
    },
)
async def metrics(request: Request[Any, Any, Any]) -> Answer:
    """The gateway's own metrics, and what any reader of the database tells."""
    services = request_context(request.scope).services
    body = services.metrics.exposition() + services.monitor.exposition(await services.monitor.samples())
    return Answer(200, [(b"content-type", TEXT.encode())], body)


observation = Router("/", tags=["operations"], route_handlers=[metrics])
