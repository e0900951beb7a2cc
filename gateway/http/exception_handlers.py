"""Turns whatever goes wrong with a request into problem details; the rest of it is for the log."""

from __future__ import annotations

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from gateway.http.methods import allowed
from gateway.http.rate_limiting import count_by_address
from gateway.http.request import request_context
from gateway.problems import (
    INTERNAL,
    MALFORMED,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    UNAVAILABLE,
    Problem,
    encoded,
)
from infra.event_log.server import ContextUnavailable
from infra.mongo import MongoUnavailable
from infra.nats.request_reply import ContextImpaired

log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, Any]


def problem_response(request: AnyRequest, problem: Problem) -> Response[bytes]:
    """Any problem as the client sees it."""
    incoming = request_context(request.scope)
    structlog.contextvars.bind_contextvars(problem=problem.kind.name)
    details = problem.details(incoming.path, incoming.correlation_id)
    return Response(
        encoded(details), status_code=problem.kind.status, media_type=MEDIA_TYPE, headers=problem.headers
    )


def on_problem(request: AnyRequest, problem: Problem) -> Response[bytes]:
    """One of ours."""
    if problem.kind.status >= 500:
        log.warning("request not served", **circumstances(request), reason=problem.detail)
    return problem_response(request, problem)


def on_framework(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """One of the framework's: no such route, no such method, a request that makes no sense.

    It never came to the guard, so that it is counted here.
    """
    incoming = request_context(request.scope)
    try:
        count_by_address(incoming)
    except Problem as problem:
        return problem_response(request, problem)
    match error.status_code:
        case 404:
            return problem_response(request, Problem(NOT_FOUND, "no route matches this path"))
        case 405:
            return problem_response(
                request,
                Problem(
                    METHOD_NOT_ALLOWED,
                    f"{incoming.method} is not offered at this path",
                    headers={"Allow": allowed((error.headers or {}).get("allow", "").split(", "))},
                ),
            )
        case status if status < 500:
            return problem_response(request, Problem(MALFORMED, error.detail))
        case _:
            return on_defect(request, error)


def on_absence(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Something the request needs is away; the log says what exactly."""
    log.warning("request not served", **circumstances(request), reason=str(error))
    if isinstance(error, ContextImpaired):
        return problem_response(request, Problem(UNAVAILABLE, str(error)))
    away = "MongoDB" if isinstance(error, MongoUnavailable) else "a context"
    return problem_response(request, Problem(UNAVAILABLE, f"{away} does not answer at the moment"))


def on_defect(request: AnyRequest, error: Exception) -> Response[bytes]:
    """A defect of ours: the log gets it all, the client only the correlation id."""
    log.error("request failed", **circumstances(request), exc_info=error)
    return problem_response(request, Problem(INTERNAL, "the log has more under this correlation id"))


def circumstances(request: AnyRequest) -> dict[str, str]:
    return {
        "method": request_context(request.scope).method,
        "route": request.scope.get("path_template") or "unmatched",
    }


HANDLERS: ExceptionHandlersMap = {
    Problem: on_problem,
    HTTPException: on_framework,
    ContextUnavailable: on_absence,
    MongoUnavailable: on_absence,
    Exception: on_defect,
}
