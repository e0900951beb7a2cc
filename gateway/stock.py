"""/v1/stock: what is on hand, reserved and available."""

from __future__ import annotations

from typing import Any

from litestar import Router

from contexts.inventory.commands import AdjustStock, ReceiveStock
from gateway.http.command_route import command_route
from gateway.http.guard import Access
from gateway.http.query_route import Asked, AskedPage, Items, query_route
from gateway.http.request import RequestContext
from gateway.problems import NOT_FOUND, Problem
from read_models import stock as model
from read_models.projection.documents import Page
from read_models.stock import Stock


@query_route(
    "/",
    access=Access.STOCK_READ,
    model="stock",
    document=Items[Stock],
    asks=AskedPage,
    summary="List stock by SKU",
)
async def list_stock(incoming: RequestContext, asked: AskedPage) -> Page:
    """Returns one page, sorted by SKU: the units on hand, reserved and available."""
    return await model.list_by_sku(incoming.services.models, limit=asked.limit, cursor=asked.cursor)


@query_route(
    "/{sku:str}", access=Access.STOCK_READ, model="stock", document=Stock, summary="Show a SKU's stock"
)
async def get_stock(incoming: RequestContext, _: Asked) -> dict[str, Any] | None:
    """Returns the units on hand, reserved and available; 404 if the SKU never had any stock."""
    return await model.get(incoming.services.models, incoming.key("sku"))


async def product_known(incoming: RequestContext, order: ReceiveStock | AdjustStock) -> None:
    """Raise a Problem if there is no such product.

    The catalog's own log is asked: what others heard of it may be older than the client's last command.
    Products are never removed, so one that is there now is there when the command is carried out.
    """
    logs = incoming.services.contexts.logs
    page = await logs.page("catalog", 0, stream=f"product-{order.sku}", limit=1)
    if not page.events:
        raise Problem(NOT_FOUND, f"there is no product {order.sku}")


stock = Router(
    "/v1/stock",
    tags=["stock"],
    route_handlers=[
        list_stock,
        get_stock,
        command_route(
            "/{sku:str}/receive",
            ReceiveStock,
            access=Access.STOCK_WRITE,
            id_field="sku",
            refusals=(NOT_FOUND,),
            check=product_known,
            summary="Receive units of a product",
        ),
        command_route(
            "/{sku:str}/adjust",
            AdjustStock,
            access=Access.STOCK_WRITE,
            id_field="sku",
            check=product_known,
            summary="Correct a product's count",
        ),
    ],
)
