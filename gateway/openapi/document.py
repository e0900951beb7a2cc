"""The API's description (OpenAPI 3.1), made from what the routes themselves promise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

from contexts.messages import MAX_LINES
from gateway import problems
from gateway.http.guard import SCOPES, WITHOUT_TOKEN, Access
from gateway.http.request import MAX_BODY
from gateway.http.route_contract import Contract
from gateway.openapi.headers import ANSWER_HEADERS, REQUEST_HEADERS
from gateway.openapi.responses import responses
from gateway.openapi.schemas import Schemas, path_parameter, query_parameters
from gateway.openapi.tags import described_tags, tags_of
from infra.runtime.session import LARGEST_COMMANDED_EVENT

Json = dict[str, Any]

DESCRIPTION = f"""\
Commands are POSTs: answered after they are stored, so an answer is a promise. An `Idempotency-Key` makes a
repeated request the same request: it gets the first answer again and does nothing; with another body it is a
problem (422). A key belongs to its caller; ids left out are derived from it.

Every answer to a command has a `Consistency-Token`. Sent along with a later query or command, that one
includes what the token names, or is a problem of the type `{problems.BEHIND.type}` (503) after the time of
`Prefer: wait=SECONDS`.

Answers to queries have an `ETag`: sent along as `If-None-Match`, it gets a 304 without content as long as
nothing has changed. Sent along as `If-Match`, it has a command carried out only at that version (else 412).

Every path that offers GET answers HEAD in the same way, without content, and every path answers OPTIONS with
`Allow`. Web pages may read answers only if an operator has named their origin (`ORDERFOLD_CORS_ORIGINS`).

Amounts are integers in minor units of a currency, as ISO 4217 has them: JPY has none, KWD three decimals.
1.0 is not an integer. Times are RFC 3339 with an offset; what is smaller than a
microsecond is cut off. Texts are stored in Unicode's normalisation form C, also where they came in another.
They need something to see and hold no control, private or unassigned characters and none that override the
direction of text. Unknown fields, fields that are there twice, headers that may be said once and are said
twice, and unknown, repeated or empty query parameters of queries are refused. Bodies are `application/json`
and have at most {MAX_BODY:,} bytes. An order may have {MAX_LINES:,} lines; with the names of its products
they may have {LARGEST_COMMANDED_EVENT:,} bytes, which is enough unless names have letters of several bytes.

Lists come in pages: `limit`, and `next` of one page is `cursor` of the following.

Each client (a token's subject, else an address) has a quota for queries, one for commands, and one for what
needs no token or has none that is valid. `RateLimit-Policy` and `RateLimit` (IETF's draft of RateLimit header
fields) tell the quota `q` in the window `w` seconds, what remains of it (`r`), and the seconds until it is
whole again (`t`). Beyond that requests get a 429 with `Retry-After`; clients within q/w are never limited.

Every problem is `application/problem+json` (RFC 9457) with one of these types. Only what cannot be read as
HTTP at all, or has a line or headers of more than 64 kB (400, 414, 431), is answered without content.

{{problems}}

A bearer token is a JWT signed with RS256 or ES256. One whose `role` (or `roles`) has `customer` is for one
customer, named by `customer_id` or `sub`: an operation's `x-customers` says whether it reaches nothing there
(`none`), only what is the customer's own (`own`), or the same as everybody's (`all`). Its scopes:

{{scopes}}
"""

ANYTHING = {"description": "Any other content, which is passed over"}

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A JWT signed with RS256 or ES256 by the configured issuer. An operation's "
    "`security` names the scope that it needs; `x-scopes` has all of them.",
    # Only `oauth2` schemes list their scopes in OpenAPI itself, and they need the address of a token
    # endpoint: that is the issuer's, which differs between installations and may be unknown to the gateway.
    "x-scopes": {str(scope): meaning for scope, meaning in SCOPES.items()},
}


def document(routes: Iterable[BaseRoute], version: str) -> Json:
    """The whole description."""
    handlers = [
        (route.path.replace(":str}", "}"), handler)
        for route in routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "contract" in handler.opt
    ]
    schemas = Schemas(handler.opt["contract"] for _, handler in handlers)
    paths: dict[str, Json] = {}
    for path, handler in handlers:
        for method in handler.http_methods:
            described = operation(handler, handler.opt["contract"], path, schemas)
            paths.setdefault(path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orderfold",
            "version": version,
            "summary": "A headless order platform: every fact an event, every order the fold of its events",
            "description": DESCRIPTION.format(
                problems="\n".join(
                    f"- `{kind.type}` ({kind.status}): {kind.title.lower()}" for kind in problems.KINDS
                ),
                scopes="\n".join(f"- `{scope}`: {meaning}" for scope, meaning in SCOPES.items()),
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The gateway that serves this document"}],
        "tags": described_tags(handler for _, handler in handlers),
        # The framework keeps a path's methods in no order, and each process would describe them in its own.
        "paths": {path: dict(sorted(methods.items())) for path, methods in paths.items()},
        "components": {
            "schemas": schemas.components(),
            "parameters": REQUEST_HEADERS,
            "headers": ANSWER_HEADERS,
            "securitySchemes": {"bearer": BEARER},
        },
    }


def operation(handler: HTTPRouteHandler, contract: Contract, path: str, schemas: Schemas) -> Json:
    """One route."""
    described: Json = {
        "operationId": camel(str(handler.name)),
        "summary": contract.summary,
        "description": contract.description,
        "tags": sorted(tags_of(handler)),
        "parameters": parameters(contract, path),
        "responses": responses(contract, path, schemas),
        "security": [] if contract.access in WITHOUT_TOKEN else [{"bearer": [contract.access.value]}],
    }
    if contract.access not in WITHOUT_TOKEN:
        described["x-customers"] = str(contract.customers)
    if contract.body is not None:
        schema = schemas.reference(contract.body)
        described["requestBody"] = {
            "required": needs_body(contract),
            "content": {
                "application/json": {"schema": {"anyOf": [schema, ANYTHING]} if contract.any_body else schema}
            },
        }
    return described


def needs_body(contract: Contract) -> bool:
    """Whether a request without a body lacks something."""
    fields = () if contract.body is None else msgspec.structs.fields(contract.body)
    return any(field.required for field in fields) and not contract.any_body


def parameters(contract: Contract, path: str) -> list[Json]:
    """What stands in the path, the query string and the headers."""
    in_path = [path_parameter(part[1:-1]) for part in path.split("/") if part.startswith("{")]
    names = ["X-Correlation-Id", "traceparent"]
    if contract.access is Access.SIGNED:
        names += ["webhook-id", "webhook-timestamp", "webhook-signature"]
    if contract.waits:
        names += ["Consistency-Token", "Prefer"]
    if contract.is_command:
        names += ["Idempotency-Key", "If-Match", "If-Not-There"]
    if contract.conditional:
        names += ["If-Match", "If-None-Match"]
    in_headers = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    in_query = [] if contract.asks is None else query_parameters(contract.asks)
    return [*in_path, *in_query, *in_headers]


def camel(name: str) -> str:
    """`list_orders` and `PlaceOrder` as `listOrders` and `placeOrder`."""
    first, *others = name.split("_")
    return first[0].lower() + first[1:] + "".join(word.capitalize() for word in others)


def encoded(description: Json) -> bytes:
    """As it is served."""
    return msgspec.json.encode(description)
