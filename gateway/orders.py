"""/v1/orders: placing, cancelling and returning orders, and everything that happened to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from litestar import Router
from msgspec import Meta

from contexts.messages import CustomerId
from contexts.ordering.commands import CancelOrder, PlaceOrder, RefuseReturn, RequestReturn, WithdrawReturn
from gateway.history import HistoryItem, history_of
from gateway.http.command_route import command_route
from gateway.http.guard import Access, require
from gateway.http.ownership import Customers, if_own, own_customer, own_only
from gateway.http.query_route import Asked, AskedPage, Items, query_route
from gateway.http.request import RequestContext
from gateway.problems import INVALID, Problem
from read_models import orders as model
from read_models.orders import Order
from read_models.projection.documents import Page
from read_models.queries.time_travel import order_as_of

OrderStatus = Literal["placed", "confirmed", "dispatched", "completed", "cancelled", "returned"]

EARLIEST_YEAR = 1970
LATEST_YEAR = 9998
CLOCKS_DIFFER = timedelta(seconds=5)
"""A client may ask for what it calls now."""


def may_place(incoming: RequestContext, order: PlaceOrder) -> None:
    """Customers order for themselves; agreed prices and past dates are for those who may state them."""
    own_customer(incoming, order.customer_id)
    if order.placed_at is not None:
        require(incoming.caller.scopes, Access.ORDERS_PRICE, "placed_at")
        if not EARLIEST_YEAR <= order.placed_at.astimezone(UTC).year <= LATEST_YEAR:
            raise Problem(INVALID, "placed_at is not between 1970 and 9998", field="placed_at")
    if any(line.unit_price is not None for line in order.lines):
        require(incoming.caller.scopes, Access.ORDERS_PRICE, "unit_price")


class AskedOrders(AskedPage, frozen=True, kw_only=True):
    """Which orders are wanted."""

    status: OrderStatus | None = None
    customer_id: CustomerId | None = None


@query_route(
    "/",
    access=Access.ORDERS_READ,
    model="orders",
    document=Items[Order],
    asks=AskedOrders,
    customers=Customers.OWN,
    summary="List orders, newest first",
)
async def list_orders(incoming: RequestContext, asked: AskedOrders) -> Page:
    """Returns one page, of one status or one customer if asked for.

    A customer's token gets the customer's own orders only.
    """
    return await model.list_newest(
        incoming.services.models,
        status=asked.status,
        customer_id=own_only(incoming, asked.customer_id),
        limit=asked.limit,
        cursor=asked.cursor,
    )


class AskedOrder(Asked, frozen=True, kw_only=True):
    """Which state of an order is wanted."""

    as_of: (
        Annotated[
            datetime,
            Meta(
                tz=True,
                description="Show the order as it was at this time (with its offset; write `+` as `%2B`)",
                examples=["2026-03-01T14:03:00Z"],
            ),
        ]
        | None
    ) = None


@query_route(
    "/{order_id:str}",
    access=Access.ORDERS_READ,
    model="orders",
    document=Order,
    asks=AskedOrder,
    customers=Customers.OWN,
    summary="Show an order, as it is or as it was",
)
async def get_order(incoming: RequestContext, asked: AskedOrder) -> dict[str, Any] | None:
    """Its `ETag` is the version that a command about it can be made to depend on with `If-Match`.

    With `as_of` the order is computed from the events up to that time: 404 if it was not placed yet, and 400
    if the time is in the future.
    """
    order_id = incoming.key("order_id")
    if asked.as_of is None:
        return if_own(incoming, await model.get(incoming.services.models, order_id))
    if asked.as_of > datetime.now(UTC) + CLOCKS_DIFFER:
        raise Problem(INVALID, "as_of is in the future", field="as_of")
    services = incoming.services
    past = await order_as_of(services.models, services.contexts.logs, order_id, asked.as_of)
    return if_own(incoming, past)


@query_route(
    "/{order_id:str}/history",
    access=Access.ORDERS_READ,
    model="orders",
    document=Items[HistoryItem],
    summary="Show everything that happened to an order",
)
async def get_order_history(incoming: RequestContext, _: Asked) -> Items[HistoryItem] | None:
    """Returns every event of every context about the order, causes before effects, with actor and time."""
    items = await history_of(incoming.services.contexts.logs, incoming.key("order_id"))
    return Items(items, None) if items else None


orders = Router(
    "/v1/orders",
    tags=["orders"],
    route_handlers=[
        list_orders,
        get_order,
        get_order_history,
        command_route(
            "/",
            PlaceOrder,
            access=Access.ORDERS_WRITE,
            id_field="order_id",
            location="/v1/orders/{}",
            generated_fields=("order_id",),
            check=may_place,
            customers=Customers.OWN,
            summary="Place an order",
        ),
        command_route(
            "/{order_id:str}/cancel",
            CancelOrder,
            access=Access.ORDERS_WRITE,
            id_field="order_id",
            customers=Customers.OWN,
            owner_field="customer_id",
            summary="Cancel an order, or ask for it",
        ),
        command_route(
            "/{order_id:str}/return",
            RequestReturn,
            access=Access.ORDERS_WRITE,
            id_field="order_id",
            generated_fields=("return_id",),
            customers=Customers.OWN,
            owner_field="customer_id",
            summary="Send some of an order back",
        ),
        command_route(
            "/{order_id:str}/withdraw-return",
            WithdrawReturn,
            access=Access.ORDERS_WRITE,
            id_field="order_id",
            customers=Customers.OWN,
            owner_field="customer_id",
            summary="Keep what was to be sent back",
        ),
        command_route(
            "/{order_id:str}/refuse-return",
            RefuseReturn,
            access=Access.ORDERS_WRITE,
            id_field="order_id",
            summary="Refuse a return",
        ),
    ],
)
