"""Who may do what: every route names the scope it wants, and a route that names none is closed."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum

import structlog
from litestar.handlers import BaseRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.auth.tokens import Caller
from gateway.http.methods import told_of_path
from gateway.http.ownership import Customers
from gateway.http.rate_limiting import address_of, count_by_address, count_for
from gateway.http.request import request_context
from gateway.problems import BUSY, MISSING_SCOPE, NOT_YOURS, UNAUTHENTICATED, UNKNOWN_ROLE, Problem
from gateway.rate_limits.quota import RouteClass


class Access(StrEnum):
    """What a route wants of its caller: a scope in the bearer token, or nothing."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ORDERS_PRICE = "orders:price"
    CATALOG_READ = "catalog:read"
    CATALOG_WRITE = "catalog:write"
    STOCK_READ = "stock:read"
    STOCK_WRITE = "stock:write"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    SHIPMENTS_READ = "shipments:read"
    SHIPMENTS_WRITE = "shipments:write"
    REPORTS_READ = "reports:read"
    OPERATE = "operate"
    SIGNED = "signed"
    """No bearer token: the body is signed (webhooks)."""
    OPEN = "open"
    """Nothing at all: health, metrics, documentation."""


MOST_OF_ONE_CLIENT = 512
"""Requests under way: half of what there may be of everybody's."""

WITHOUT_TOKEN = frozenset({Access.SIGNED, Access.OPEN})

SCOPES = {
    Access.ORDERS_READ: "read orders and their history",
    Access.ORDERS_WRITE: "place, cancel and return orders",
    Access.ORDERS_PRICE: "state agreed prices and the time an order was placed",
    Access.CATALOG_READ: "read products",
    Access.CATALOG_WRITE: "add and change products",
    Access.STOCK_READ: "read stock",
    Access.STOCK_WRITE: "receive and adjust stock",
    Access.CUSTOMERS_READ: "read customers",
    Access.CUSTOMERS_WRITE: "register, change and forget customers",
    Access.SHIPMENTS_READ: "read shipments",
    Access.SHIPMENTS_WRITE: "dispatch and deliver parcels, take returned ones",
    Access.REPORTS_READ: "read reports",
    Access.OPERATE: "watch, retry and abandon fulfilments",
}
"""Every scope, and what it allows."""


CUSTOMERS_SCOPES = frozenset(
    {
        Access.ORDERS_READ,
        Access.ORDERS_WRITE,
        Access.CATALOG_READ,
        Access.CUSTOMERS_READ,
        Access.CUSTOMERS_WRITE,
    }
)
"""What a customer's own token may be for: the routes that want another scope are closed to customers."""


class AccessUndeclared(Exception):
    """A route says nothing about who may use it; the gateway does not start with such a route."""


def declared(handler: BaseRouteHandler) -> Access | None:
    """What the route wants; None when it says nothing."""
    contract = handler.opt.get("contract")
    return None if contract is None else contract.access


def class_of(handler: BaseRouteHandler) -> RouteClass:
    """What requests with a token are counted as."""
    contract = handler.opt.get("contract")
    return RouteClass.COMMANDS if contract is not None and contract.is_command else RouteClass.READS


def refuse_customer(handler: BaseRouteHandler, caller: Caller) -> None:
    """Raise a Problem if the caller is a customer and the route is for staff."""
    if caller.customer_id is not None and handler.opt["contract"].customers is Customers.NONE:
        raise Problem(NOT_YOURS, "this is not open to customers")


class Guard:
    """Stands before every route and lets through who may use it; others get a Problem.

    A middleware, not one of Litestar's guards: for those it copies the route on every request, which costs
    more than all of this.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        order_id = scope["path_params"].get("order_id")
        if order_id is not None:
            structlog.contextvars.bind_contextvars(order_id=order_id)
        access = declared(scope["route_handler"])
        incoming = request_context(scope)
        if incoming.method == "OPTIONS":
            count_by_address(incoming)
            await told_of_path(scope)(scope, receive, send)
            return
        if access not in WITHOUT_TOKEN:
            try:
                caller = await incoming.authenticate()
            except Problem as problem:
                if problem.kind in {UNAUTHENTICATED, UNKNOWN_ROLE}:
                    count_by_address(incoming)
                raise
            count_for(incoming, class_of(scope["route_handler"]), caller.subject)
            if access is None:
                raise Problem(MISSING_SCOPE, "no scope grants this route")
            require(caller.scopes, access)
            refuse_customer(scope["route_handler"], caller)
            client = caller.subject
        elif not scope["route_handler"].opt["contract"].exempt_from_limits:
            count_by_address(incoming)
            client = address_of(incoming)
        else:
            await self._app(scope, receive, send)
            return
        with among_those_of(client, incoming.services.under_way):
            await self._app(scope, receive, send)


@contextlib.contextmanager
def among_those_of(client: str, under_way: Counter[str]) -> Iterator[None]:
    """Raise a Problem if a client has too much under way: it would leave no room for others."""
    if under_way[client] >= MOST_OF_ONE_CLIENT:
        raise Problem(BUSY, f"one client may have {MOST_OF_ONE_CLIENT} requests under way")
    under_way[client] += 1
    try:
        yield
    finally:
        under_way[client] -= 1
        if not under_way[client]:
            del under_way[client]


def require(scopes: frozenset[str], access: Access, purpose: str = "this") -> None:
    """Raise a Problem that names the scope unless the caller has it."""
    if access.value not in scopes:
        raise Problem(
            MISSING_SCOPE,
            f"{purpose} needs the scope {access.value}",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{access.value}"'},
        )


def refuse_undeclared(routes: Iterable[BaseRoute]) -> None:
    """Raise AccessUndeclared if a route does not say who may use it."""
    for route in routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]  # type: ignore[attr-defined]
        for handler in handlers:
            # The guard answers OPTIONS instead of Litestar.
            if getattr(handler, "http_methods", None) != {"OPTIONS"} and declared(handler) is None:
                raise AccessUndeclared(f"{route.path} does not say who may use it")
