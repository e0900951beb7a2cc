"""The groups of operations, with a sentence about each."""

from __future__ import annotations

from collections.abc import Iterable

from litestar.handlers import HTTPRouteHandler

TAGS = {
    "products": "The catalog: names, prices, and which products are sold.",
    "stock": "Units on hand, reserved and available, by SKU.",
    "customers": "Customers and their personal data, which can be erased.",
    "orders": "Placing, cancelling and returning orders, their state and their history.",
    "shipments": "Parcels, one per order, and the parcels of returns.",
    "reports": "Sales figures.",
    "fulfilments": "The process that carries each order out, and what operators can do if it is stuck.",
    "webhooks": "Notifications by the payment provider; they are signed and need no bearer token.",
    "operations": "Health, metrics and this documentation; no token is needed.",
}


def tags_of(handler: HTTPRouteHandler) -> list[str]:
    """The tags of a route and of the routers above it."""
    return [tag for layer in handler.ownership_layers for tag in layer.tags or ()]


def described_tags(handlers: Iterable[HTTPRouteHandler]) -> list[dict[str, str]]:
    """Every tag of these routes, in their order; one that is not in TAGS has no description."""
    names = dict.fromkeys(tag for handler in handlers for tag in tags_of(handler))
    return [{"name": name, **({"description": TAGS[name]} if name in TAGS else {})} for name in names]
