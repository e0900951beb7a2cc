"""What may be asked of the catalog."""

from __future__ import annotations

from contexts.messages import Command, Currency, Name, Price, Sku


class CatalogCommandMessage(Command, tag=lambda name: f"catalog.{name}"):
    """A command to catalog."""


class AddProduct(CatalogCommandMessage):
    """Add a product. Refused if the SKU exists with another name, price or currency."""

    sku: Sku
    name: Name
    unit_price: Price
    currency: Currency


class RenameProduct(CatalogCommandMessage):
    """Change a product's name. Orders keep the name they were placed with."""

    sku: Sku
    name: Name


class RepriceProduct(CatalogCommandMessage):
    """Change a product's unit price, in its currency. Orders keep the price they were placed at."""

    sku: Sku
    unit_price: Price


class DiscontinueProduct(CatalogCommandMessage):
    """Stop selling a product: new orders of it are refused, those already placed continue."""

    sku: Sku


class ReinstateProduct(CatalogCommandMessage):
    """Sell a discontinued product again."""

    sku: Sku


CatalogCommand = AddProduct | RenameProduct | RepriceProduct | DiscontinueProduct | ReinstateProduct
"""Every command of catalog."""
