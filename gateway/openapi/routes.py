"""/openapi.json and /docs: the API described for programs and for people, with nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from litestar import Litestar, Request, Router, get

from gateway.http.guard import Access
from gateway.http.response import Answer, Header
from gateway.http.route_contract import Contract
from gateway.openapi import document
from gateway.openapi.page import CONTENT_SECURITY_POLICY, render

HTML: Header = (b"content-type", b"text/html; charset=utf-8")
FOR_AN_HOUR: Header = (b"cache-control", b"public, max-age=3600")


@cache
def described(app: Litestar) -> tuple[bytes, bytes]:
    """The description and the page; made the first time somebody wants them."""
    description = document.document(app.routes, version("orderfold"))
    return document.encoded(description), render(description).encode()


@get(
    "/openapi.json",
    name="openapi",
    opt={
        "contract": Contract(
            access=Access.OPEN,
            summary="This description",
            description="Returns the OpenAPI 3.1 document of this gateway.",
            answer=dict[str, Any],
            headers=("Cache-Control",),
        )
    },
)
async def openapi_json(request: Request[Any, Any, Any]) -> Answer:
    """For programs."""
    return Answer(200, [(b"content-type", b"application/json"), FOR_AN_HOUR], described(request.app)[0])


@get(
    "/docs",
    name="docs",
    opt={
        "contract": Contract(
            access=Access.OPEN,
            summary="This description as a page",
            description="Returns one page of HTML that loads nothing from elsewhere.",
            answer=str,
            media_type="text/html",
            headers=("Cache-Control", "Content-Security-Policy"),
        )
    },
)
async def docs_html(request: Request[Any, Any, Any]) -> Answer:
    """For people."""
    policy = (b"content-security-policy", CONTENT_SECURITY_POLICY.encode())
    return Answer(200, [HTML, FOR_AN_HOUR, policy], described(request.app)[1])


docs = Router("/", tags=["operations"], route_handlers=[openapi_json, docs_html])
