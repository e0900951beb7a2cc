"""A client that knows the description: it fills requests in, and holds every answer to what is described."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import schemathesis

from infra.security.webhook_signature import sign
from tests.gateway.fuzz.asking import ABOUT, DESCRIPTION, FITTING, QUERIES, Json, Operation

SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
TRANSPORT = {"content-type", "content-length", "connection", "date", "server", "transfer-encoding"}
"""Headers that are the server's or described otherwise."""
TRACED = frozenset({"traceresponse"})
LIMITED = frozenset({"ratelimit", "ratelimit-policy"})
"""Headers that depend on settings."""
PREFERRED = frozenset({"preference-applied", "accept-post", "accept-encoding"})
"""Headers that depend on what was sent."""


class Client:
    """Sends requests to one gateway."""

    def __init__(self, http: httpx.AsyncClient, token: str, webhook_key: bytes) -> None:
        self._http = http
        self._token = token
        self._webhook_key = webhook_key

    async def send(
        self,
        operation: Operation,
        ids: Mapping[str, str] | None = None,
        body: Any = ...,
        *,
        query: Mapping[str, str] | None = None,
        token: str | None = "",
        **headers: str | None,
    ) -> httpx.Response:
        """What fits, unless told otherwise; `token=None` sends none, and signs nothing."""
        path, fitting = FITTING.get(operation.name, (ABOUT, None))
        wanted = fitting if body is ... else body
        content = (
            b"" if wanted is None else wanted if isinstance(wanted, bytes) else json.dumps(wanted).encode()
        )
        sent = {} if not content else {"Content-Type": "application/json"}
        if operation.scope is not None and token is not None:
            sent["Authorization"] = f"Bearer {token or self._token}"
        if operation.takes("webhook-id") and token is not None:
            sent |= sign(self._webhook_key, "w1", datetime.now(UTC), content)
        sent |= {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        return await self._http.request(
            operation.method,
            operation.path.format(**(ABOUT | dict(path if ids is None else ids))),
            content=content,
            params={**QUERIES.get(operation.name, {}), **(query or {})},
            headers=sent,
        )


def hold(operation: Operation, answer: httpx.Response) -> Json:
    """Assert that an answer is as it is described; the description of it."""
    described: Json = operation.described["responses"][str(answer.status_code)]
    headers = {name.lower(): resolved(header) for name, header in described["headers"].items()}
    ours = set(answer.headers.keys()) - TRANSPORT
    assert ours <= headers.keys(), "a header that is not described"
    assert {name for name, header in headers.items() if header["required"]} <= ours, "a header is missing"
    content = described.get("content", {})
    assert bool(answer.content) == bool(content)
    if content:
        assert answer.headers["content-type"].partition(";")[0] in content
        SCHEMA[operation.path][operation.method].validate_response(answer)
    return described


def resolved(header: Json) -> Json:
    name = header.get("$ref", "").rpartition("/")[2]
    found: Json = DESCRIPTION["components"]["headers"][name] if name else header
    return found


def has_all_headers(
    described: Json, answer: httpx.Response, *, sometimes: frozenset[str] = TRACED | LIMITED | PREFERRED
) -> None:
    """Assert that nothing that is described is left out, but for what depends on settings."""
    assert {name.lower() for name in described["headers"]} - sometimes <= answer.headers.keys()
