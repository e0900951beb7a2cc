"""/health: whether the process lives, and whether all it needs is there."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, get

from gateway.http.guard import Access
from gateway.http.request import request_context
from gateway.http.response import UNSTORED, Answer, json_answer
from gateway.http.route_contract import Contract
from gateway.monitoring.readiness import OwnReport, Report
from infra.observability.health.readiness import Life


@get(
    "/live",
    name="live",
    opt={
        "contract": Contract(
            access=Access.OPEN,
            exempt_from_limits=True,
            summary="Whether the process lives",
            description="Returns 200 as long as the process serves requests. No dependency is checked.",
            answer=Life,
            headers=("Cache-Control",),
        )
    },
)
async def live() -> Answer:
    """It answers, so it lives."""
    return json_answer(Life(), headers=[UNSTORED])


@get(
    "/ready",
    name="ready",
    opt={
        "contract": Contract(
            access=Access.OPEN,
            exempt_from_limits=True,
            summary="Whether all it needs is there",
            description="Checks NATS, MongoDB, keys and contexts, and returns each check and each read "
            "model's lag: 200 if every check passed, else 503 with the same body. The result may be a second "
            "old.",
            answer=Report,
            bad_news=503,
            headers=("Cache-Control",),
        )
    },
)
async def ready(request: Request[Any, Any, Any]) -> Answer:
    """Whether requests can be served, and what is missing if not."""
    report = await request_context(request.scope).services.readiness.report()
    return json_answer(report, 200 if report.ready else 503, [UNSTORED])


@get(
    "/serving",
    name="serving",
    opt={
        "contract": Contract(
            access=Access.OPEN,
            exempt_from_limits=True,
            summary="Whether this process can be sent requests",
            description="For load balancers: 503 only if this process itself cannot serve (no NATS "
            "connection or no keys). While a context or MongoDB is down, it returns 200, and requests that "
            "need it get 503.",
            answer=OwnReport,
            bad_news=503,
            headers=("Cache-Control",),
        )
    },
)
async def serving(request: Request[Any, Any, Any]) -> Answer:
    """Whether this gateway can do what another could."""
    report = await request_context(request.scope).services.readiness.own()
    return json_answer(report, 200 if report.serving else 503, [UNSTORED])


health = Router("/health", tags=["operations"], route_handlers=[live, ready, serving])
