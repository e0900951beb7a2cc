"""A further reading of the rows: the invoices, each complete, in the order they are completed in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from gateway.cli.importer.classification import Classifier, Sold
from gateway.cli.importer.source import Source
from gateway.cli.importer.survey import Survey, customer_of
from gateway.cli.importer.tally import DaySales


class Invoice(msgspec.Struct):
    """An invoice's sales: units by SKU and unit price (minor units)."""

    order_id: str
    customer: str
    country: str
    placed_at: datetime
    units: dict[tuple[str, int], int] = msgspec.field(default_factory=dict)

    def add(self, row: Sold) -> None:
        """Take in one of its rows; what is sold at the same price is one line."""
        key = (row.sku, row.measures.unit_price)
        self.units[key] = self.units.get(key, 0) + row.measures.quantity

    @property
    def lines(self) -> list[tuple[str, int, int]]:
        """SKU, unit price and units of each line, the same in whichever order the rows came."""
        return [(sku, price, units) for (sku, price), units in sorted(self.units.items())]

    @property
    def units_by_sku(self) -> dict[str, int]:
        """How many units of each product it takes."""
        units: dict[str, int] = {}
        for sku, _, quantity in self.lines:
            units[sku] = units.get(sku, 0) + quantity
        return units

    @property
    def sales(self) -> DaySales:
        """What it adds to its day."""
        revenue = sum(price * quantity for (_, price), quantity in self.units.items())
        return DaySales(1, sum(self.units.values()), revenue)


def invoices(source: Source, classifier: Classifier, found: Survey) -> Iterator[Invoice]:
    """Every invoice that is whole; only those still incomplete are kept in memory."""
    incomplete: dict[str, Invoice] = {}
    for row in source.rows():
        sold = found.verdict(classifier.classify(row))
        if not isinstance(sold, Sold):
            continue
        head = found.heads[sold.invoice]
        invoice = incomplete.get(sold.invoice)
        if invoice is None:
            invoice = incomplete[sold.invoice] = Invoice(
                sold.invoice, customer_of(sold), sold.country, head.placed_at
            )
        invoice.add(sold)
        if head.last == row.line:
            yield incomplete.pop(sold.invoice)
