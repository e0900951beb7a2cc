"""The answers of a route as the API's description has them: the one wanted, and every possible problem."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway import problems
from gateway.http.guard import WITHOUT_TOKEN
from gateway.http.ownership import Customers
from gateway.http.route_contract import Contract
from gateway.http.tracing import API as TRACED
from gateway.openapi.headers import ANSWER_HEADERS
from gateway.openapi.schemas import Schemas

Json = dict[str, Any]


def responses(contract: Contract, path: str, schemas: Schemas) -> Json:
    """What comes back: the answer, and every problem there may be."""
    everywhere = ["X-Correlation-Id", *rate_limit_headers(contract, path)]
    everywhere += ["Preference-Applied"] if contract.waits else []
    own = list(contract.headers)
    own += ["Consistency-Token"] if contract.is_command else []
    own += ["ETag"] if contract.tagged else []
    own += ["Location"] if contract.located else []
    success: Json = {"description": contract.summary, "headers": headers(*everywhere, *own)}
    if contract.answer is not None:
        success["content"] = {contract.media_type: {"schema": schemas.reference(contract.answer)}}
    by_status: dict[int, list[problems.Kind]] = {}
    for kind in kinds(contract):
        by_status.setdefault(kind.status, []).append(kind)
    found = {str(contract.status): success}
    if contract.conditional:
        known = headers(*everywhere, *own)
        found["304"] = {"description": "The client has this answer already", "headers": known}
    for status, several in sorted(by_status.items()):
        found[str(status)] = problem(status, several, everywhere, schemas)
    if contract.bad_news is not None:
        found[str(contract.bad_news)] = either(success, found[str(contract.bad_news)])
    return found


def either(answer: Json, problem: Json) -> Json:
    """The answer itself, saying that something is missing, or a problem."""
    names = dict.fromkeys([*answer["headers"], *problem["headers"]])
    return {
        "description": f"Something is missing; or: {problem['description']}",
        "headers": {
            name: answer["headers"][name]
            if name in answer["headers"] and name in problem["headers"]
            else {**ANSWER_HEADERS[name], "required": False}
            for name in names
        },
        "content": {**answer["content"], **problem["content"]},
    }


def headers(*names: str) -> Json:
    """The headers of an answer."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def kinds(contract: Contract) -> Iterable[problems.Kind]:
    """Every kind of problem a route may answer."""
    found = dict.fromkeys((*contract.problems, problems.MALFORMED, problems.NOT_IMPLEMENTED))
    if not contract.exempt_from_limits:
        found |= dict.fromkeys((problems.RATE_LIMITED, problems.BUSY))
    if contract.access not in WITHOUT_TOKEN:
        found |= dict.fromkeys((problems.UNAUTHENTICATED, problems.MISSING_SCOPE, problems.UNKNOWN_ROLE))
        if contract.customers is not Customers.ALL:
            found |= dict.fromkeys((problems.NOT_YOURS,))
    if contract.asks is not None:
        found |= dict.fromkeys((problems.INVALID,))
    if contract.body is not None:
        found |= dict.fromkeys((problems.BODY_TOO_SLOW, problems.BODY_TOO_LARGE))
    if contract.body is not None and not contract.any_body:
        found |= dict.fromkeys((problems.INVALID, problems.UNSUPPORTED_MEDIA_TYPE))
    if contract.is_command:
        found |= dict.fromkeys((problems.STALE_VERSION, problems.KEY_REUSED, problems.EXPIRED))
    if contract.conditional:
        found |= dict.fromkeys((problems.STALE_VERSION,))
    if contract.waits:
        found |= dict.fromkeys((problems.BEHIND,))
    # A gateway that stops says so on every route.
    return [*dict.fromkeys((*found, problems.UNAVAILABLE)), problems.INTERNAL]


def rate_limit_headers(contract: Contract, path: str) -> list[str]:
    """The headers that tell a client how much it may still ask, and what its request is called in a trace."""
    limits = [] if contract.exempt_from_limits else ["RateLimit-Policy", "RateLimit"]
    return [*limits, "traceresponse"] if path.startswith(TRACED) else limits


def problem(status: int, several: list[problems.Kind], everywhere: list[str], schemas: Schemas) -> Json:
    own = ["Retry-After"] if status in {429, 503} else []
    own += ["WWW-Authenticate"] if {problems.UNAUTHENTICATED, problems.MISSING_SCOPE} & set(several) else []
    own += ["Accept-Post", "Accept-Encoding"] if status == 415 else []
    return {
        "description": "; ".join(f"{kind.title} (`{kind.type}`)" for kind in several),
        "headers": headers(*everywhere, *own),
        "content": {problems.MEDIA_TYPE: {"schema": schemas.reference(problems.ProblemDetails)}},
    }
