"""/v1/products: the catalog."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Router
from msgspec import Meta

from contexts.catalog.commands import (
    AddProduct,
    DiscontinueProduct,
    ReinstateProduct,
    RenameProduct,
    RepriceProduct,
)
from gateway.http.command_route import command_route
from gateway.http.guard import Access
from gateway.http.ownership import Customers
from gateway.http.query_route import Asked, AskedPage, Items, query_route
from gateway.http.request import RequestContext
from gateway.problems import NOT_FOUND
from read_models import products as model
from read_models.projection.documents import Page

SearchText = Annotated[str, Meta(max_length=200, description="words the name begins with, or the SKU")]


class Product(msgspec.Struct, frozen=True):
    """`status`: active, discontinued; `unit_price` in minor units; `available` to be ordered."""

    sku: str
    name: str
    unit_price: int
    currency: str
    status: str
    available: int
    updated_at: str
    version: int


class AskedProducts(AskedPage, frozen=True, kw_only=True):
    """Which products are wanted."""

    q: SearchText | None = None


@query_route(
    "/",
    access=Access.CATALOG_READ,
    customers=Customers.ALL,
    model="products",
    document=Items[Product],
    asks=AskedProducts,
    summary="List products by SKU",
)
async def list_products(incoming: RequestContext, asked: AskedProducts) -> Page:
    """Returns one page, sorted by SKU; discontinued products are included.

    Every word of `q` must begin a word of the name, or the SKU.
    """
    return await model.search(incoming.services.models, q=asked.q, limit=asked.limit, cursor=asked.cursor)


@query_route(
    "/{sku:str}",
    access=Access.CATALOG_READ,
    customers=Customers.ALL,
    model="products",
    document=Product,
    summary="Show a product",
)
async def get_product(incoming: RequestContext, _: Asked) -> dict[str, Any] | None:
    """Returns the product with its price, status and available units; 404 if it was never added."""
    return await model.get(incoming.services.models, incoming.key("sku"))


products = Router(
    "/v1/products",
    tags=["products"],
    route_handlers=[
        list_products,
        get_product,
        command_route(
            "/",
            AddProduct,
            access=Access.CATALOG_WRITE,
            id_field="sku",
            location="/v1/products/{}",
            summary="Add a product",
        ),
        command_route(
            "/{sku:str}/rename",
            RenameProduct,
            access=Access.CATALOG_WRITE,
            id_field="sku",
            refusals=(NOT_FOUND,),
            summary="Rename a product",
        ),
        command_route(
            "/{sku:str}/reprice",
            RepriceProduct,
            access=Access.CATALOG_WRITE,
            id_field="sku",
            refusals=(NOT_FOUND,),
            summary="Change a product's price",
        ),
        command_route(
            "/{sku:str}/discontinue",
            DiscontinueProduct,
            access=Access.CATALOG_WRITE,
            id_field="sku",
            refusals=(NOT_FOUND,),
            summary="Stop selling a product",
        ),
        command_route(
            "/{sku:str}/reinstate",
            ReinstateProduct,
            access=Access.CATALOG_WRITE,
            id_field="sku",
            refusals=(NOT_FOUND,),
            summary="Sell a product again",
        ),
    ],
)
