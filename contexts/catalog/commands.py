"""What may be asked of the catalog."""

from __future__ import annotations

from contexts.messages import Command, Currency, Name, Price, Sku


class CatalogCommandMessage(Command, tag=lambda name: f"catalog.{name}"):
    """A command to catalog."""


class AddProduct(CatalogCommandMessage):
    sku: Sku
    name: Name
    unit_price: Price
    currency: Currency


class RenameProduct(CatalogCommandMessage):
    sku: Sku
    name: Name


class RepriceProduct(CatalogCommandMessage):
    sku: Sku
    unit_price: Price


class DiscontinueProduct(CatalogCommandMessage):
    sku: Sku


class ReinstateProduct(CatalogCommandMessage):
    sku: Sku


CatalogCommand = AddProduct | RenameProduct | RepriceProduct | DiscontinueProduct | ReinstateProduct
"""Every command of catalog."""
