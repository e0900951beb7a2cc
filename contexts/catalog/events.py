"""What has happened in the catalog."""

from __future__ import annotations

from contexts.messages import Currency, Event, Name, Price, Sku


class CatalogEventMessage(Event, tag=lambda name: f"catalog.{name}"):
    """An event of catalog."""


class ProductAdded(CatalogEventMessage):
    sku: Sku
    name: Name
    unit_price: Price
    currency: Currency


class ProductRenamed(CatalogEventMessage):
    sku: Sku
    name: Name


class ProductRepriced(CatalogEventMessage):
    sku: Sku
    unit_price: Price


class ProductDiscontinued(CatalogEventMessage):
    """No longer sold; orders placed before stand."""

    sku: Sku


class ProductReinstated(CatalogEventMessage):
    sku: Sku


CatalogEvent = ProductAdded | ProductRenamed | ProductRepriced | ProductDiscontinued | ProductReinstated
"""Every event of catalog."""
