"""The methods of a path: what `Allow` names, and what OPTIONS answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from litestar.routes import HTTPRoute

from gateway.http.response import Answer

EVERYWHERE = ("GET", "POST")
"""What is offered at one path or another."""


def allowed(methods: Iterable[str]) -> str:
    """`Allow` of a path whose routes have these methods: HEAD is answered like GET, and OPTIONS always."""
    offered = {*methods, "OPTIONS"}
    return ", ".join(sorted(offered | {"HEAD"} if "GET" in offered else offered))


def told(methods: Iterable[str]) -> Answer:
    """The answer to OPTIONS."""
    return Answer(204, [(b"allow", allowed(methods).encode())])


def told_of_path(scope: Any) -> Answer:
    """The answer to OPTIONS at a path there is."""
    handler = scope["route_handler"]
    return told(
        method
        for route in scope["litestar_app"].routes
        if isinstance(route, HTTPRoute) and handler in route.route_handlers
        for method in route.methods
    )
