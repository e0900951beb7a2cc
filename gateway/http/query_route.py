"""Routes that ask a read model: what may be asked, how long to wait, and how documents are shown."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from gateway.http.conditions import is_known, tag_of
from gateway.http.guard import Access
from gateway.http.headers import DEFAULT_WAIT, tokens_of, wait_of
from gateway.http.ownership import Customers
from gateway.http.query_strings import QueryReader
from gateway.http.request import RequestContext, request_context
from gateway.http.response import JSON, UNSTORED, Answer, encode
from gateway.http.route_contract import Contract
from gateway.problems import BEHIND, INVALID, NOT_FOUND, Problem
from infra.messages.commands import Token
from read_models.projection.documents import MAX_LIMIT, CursorInvalid, ReadModels
from read_models.queries.consistency import Behind, up_to

Q = TypeVar("Q", bound="Asked")
T = TypeVar("T")

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="how many at most")]
Cursor = Annotated[str, Meta(min_length=1, max_length=1_000, description="`next` of the page before")]


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query string without anything in it."""


class AskedPage(Asked, frozen=True, kw_only=True):
    """Which part of a list is wanted."""

    limit: Limit = 50
    cursor: Cursor | None = None


class Items(msgspec.Struct, Generic[T], frozen=True):
    """Part of a list; `next` is the cursor of the part after it, null at the end."""

    items: list[T]
    next: str | None


Ask = Callable[[RequestContext, Q], Awaitable[Any]]


def query_route(
    path: str,
    *,
    access: Access,
    model: str,
    document: Any,
    summary: str,
    asks: type[Q] = Asked,  # type: ignore[assignment]
    customers: Customers = Customers.NONE,
) -> Callable[[Ask[Q]], HTTPRouteHandler]:
    """A route that answers with one document (None: not found), or with what a list has.

    The answer includes whatever the request's consistency tokens name, or it is a problem.
    """
    single = "version" in getattr(document, "__struct_fields__", ())
    reader = QueryReader(asks)

    def declare(ask: Ask[Q]) -> HTTPRouteHandler:
        async def answer(request: Request[Any, Any, Any]) -> Answer:
            incoming = request_context(request.scope)
            asked = reader.read(incoming.scope["query_string"])
            incoming.read_from(await wait_for(incoming, model))
            try:
                found = await ask(incoming, asked)
            except CursorInvalid as error:
                raise Problem(INVALID, f"cursor: {error}", field="cursor") from error
            if found is None:
                missing = " ".join(incoming.scope["path_params"].values())
                raise Problem(NOT_FOUND, f"{model.removesuffix('s')} {missing} not found")
            body = encode(found)
            tag = tag_of(body, found["version"] if single else None)
            headers = [UNSTORED, (b"etag", f'"{tag.opaque}"'.encode())]
            if is_known(incoming, tag):
                return Answer(304, headers)
            return Answer(200, [JSON, *headers], body)

        answer.__name__ = ask.__name__
        contract = Contract(
            access=access,
            customers=customers,
            summary=summary,
            description=inspect.getdoc(ask) or "",
            asks=asks,
            answer=document,
            headers=("Cache-Control",),
            # A list may be empty.
            problems=(NOT_FOUND,) if "{" in path and not issubclass(asks, AskedPage) else (),
            waits=True,
            tagged=True,
            conditional=True,
        )
        return get(path, opt={"contract": contract}, name=ask.__name__)(answer)

    return declare


async def wait_for(incoming: RequestContext, model: str) -> ReadModels:
    """Read models that include what the request's tokens name; raises a Problem."""
    tokens = tokens_of(incoming)
    wait = wait_of(incoming)
    if not tokens:
        return incoming.services.models
    return await come_to(incoming, model, tokens, DEFAULT_WAIT if wait is None else wait)


async def come_to(
    incoming: RequestContext, model: str, tokens: Sequence[Token], seconds: float
) -> ReadModels:
    try:
        return await up_to(incoming.services.models, model, tokens, seconds)
    except Behind as error:
        raise Problem(BEHIND, f"{error}; ask again, or wait longer with Prefer: wait=SECONDS") from error
