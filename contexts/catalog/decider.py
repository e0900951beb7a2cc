"""The catalog's rules: a product is added once, changed while it is known, and withdrawn and brought back."""

from __future__ import annotations

from typing import assert_never

import msgspec

from contexts.catalog.commands import (
    AddProduct,
    CatalogCommand,
    DiscontinueProduct,
    ReinstateProduct,
    RenameProduct,
    RepriceProduct,
)
from contexts.catalog.events import (
    CatalogEvent,
    ProductAdded,
    ProductDiscontinued,
    ProductReinstated,
    ProductRenamed,
    ProductRepriced,
)
from contexts.messages import Rejected, Unknown


class Product(msgspec.Struct, frozen=True):
    """A product as it is offered now."""

    name: str
    unit_price: int
    currency: str
    discontinued: bool = False


def decide(product: Product | None, command: CatalogCommand) -> tuple[CatalogEvent, ...]:
    """Answer a command with the facts it causes; none if nothing changes."""
    match command:
        case AddProduct():
            return _add(product, command)
        case _ if product is None:
            raise Unknown(f"product {command.sku} is not in the catalog")
        case RenameProduct(sku=sku, name=name):
            return () if name == product.name else (ProductRenamed(sku=sku, name=name),)
        case RepriceProduct(sku=sku, unit_price=price):
            return () if price == product.unit_price else (ProductRepriced(sku=sku, unit_price=price),)
        case DiscontinueProduct(sku=sku):
            return () if product.discontinued else (ProductDiscontinued(sku=sku),)
        case ReinstateProduct(sku=sku):
            return (ProductReinstated(sku=sku),) if product.discontinued else ()
        case _:
            assert_never(command)


def _add(product: Product | None, command: AddProduct) -> tuple[CatalogEvent, ...]:
    name, price, currency = command.name, command.unit_price, command.currency
    if product is None:
        return (ProductAdded(sku=command.sku, name=name, unit_price=price, currency=currency),)
    if (name, price, currency) == (product.name, product.unit_price, product.currency):
        return ()
    raise Rejected(f"product {command.sku} exists with another name, price or currency")


def evolve(product: Product | None, event: CatalogEvent) -> Product:
    """The product after one more fact."""
    match event:
        case ProductAdded():
            return Product(event.name, event.unit_price, event.currency)
        case _ if product is None:
            raise ValueError(f"{event!r} without a ProductAdded before it")
        case ProductRenamed():
            return msgspec.structs.replace(product, name=event.name)
        case ProductRepriced():
            return msgspec.structs.replace(product, unit_price=event.unit_price)
        case ProductDiscontinued():
            return msgspec.structs.replace(product, discontinued=True)
        case ProductReinstated():
            return msgspec.structs.replace(product, discontinued=False)
        case _:
            assert_never(event)
