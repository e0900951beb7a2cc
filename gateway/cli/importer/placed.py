"""The orders that the shop has already, compared with the file's invoices by their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec

from gateway.cli.importer.amounts import in_major_units
from gateway.cli.importer.api_client import Shop
from gateway.cli.importer.identifiers import in_country
from gateway.cli.importer.invoices import Invoice
from gateway.cli.progress import Steps

ORDERS = "/v1/orders"
MOST_NAMED = 3
"""Differences between an invoice and its order that are named."""


class Placed(msgspec.Struct, frozen=True):
    """An order of the shop: what it has to share with its invoice."""

    customer_id: str
    currency: str
    placed_at: datetime
    lines: Mapping[tuple[str, int], int]
    """Units by SKU and unit price."""


async def placed_among(shop: Shop, orders: Collection[str], steps: Steps) -> dict[str, Placed]:
    """Those of the orders that the shop has."""
    found: dict[str, Placed] = {}
    seen = 0
    async for document in shop.items(ORDERS):
        seen += 1
        steps.at(seen)
        if document["order_id"] in orders:
            placed = placed_of(document)
            if placed is not None:
                found[document["order_id"]] = placed
    steps.at(seen, seen)
    return found


def placed_of(document: Mapping[str, Any]) -> Placed | None:
    """An order's document; None if it does not yet say what was ordered."""
    if not document.get("lines") or not document.get("placed_at"):
        return None
    lines: Counter[tuple[str, int]] = Counter()
    for line in document["lines"]:
        lines[line["sku"], line["unit_price"]] += line["quantity"]
    return Placed(
        document["customer_id"],
        document["currency"],
        datetime.fromisoformat(document["placed_at"]),
        lines,
    )


def difference(invoice: Invoice, currency: str, digits: int, placed: Placed) -> str:
    """In what an order is not as its invoice is; empty if it is."""
    gaps = []
    if placed.customer_id not in {invoice.customer, in_country(invoice.customer, invoice.country)}:
        gaps.append(f"customer {placed.customer_id}, in the file {invoice.customer}")
    if placed.currency != currency:
        gaps.append(f"currency {placed.currency}, in the file {currency}")
    if placed.placed_at != invoice.placed_at:
        gaps.append(f"placed at {placed.placed_at.isoformat()}, in the file {invoice.placed_at.isoformat()}")
    for sku, price in sorted(placed.lines.keys() | invoice.units.keys()):
        theirs, ours = placed.lines.get((sku, price), 0), invoice.units.get((sku, price), 0)
        if theirs != ours:
            gaps.append(f"{theirs} of {sku} at {in_major_units(price, digits)}, in the file {ours}")
    more = f"; and {len(gaps) - MOST_NAMED} more" if len(gaps) > MOST_NAMED else ""
    return "; ".join(gaps[:MOST_NAMED]) + more
