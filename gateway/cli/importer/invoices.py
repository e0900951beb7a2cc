"""The second reading of the file: its invoices, each complete, in the order they are completed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from gateway.cli.importer.classification import Sold, classify
from gateway.cli.importer.source import Source
from gateway.cli.importer.survey import customer_of
from gateway.cli.importer.tally import DaySales


class Invoice(msgspec.Struct):
    """An invoice's sales: units by SKU and unit price (minor units), in the order of the file."""

    order_id: str
    customer_id: str
    placed_at: datetime
    lines: dict[tuple[str, int], int] = msgspec.field(default_factory=dict)

    def add(self, row: Sold) -> None:
        """Take in one of its rows; what is sold at the same price is one line."""
        key = (row.sku, row.measures.unit_price)
        self.lines[key] = self.lines.get(key, 0) + row.measures.quantity

    @property
    def sales(self) -> DaySales:
        """What it adds to its day."""
        revenue = sum(price * quantity for (_, price), quantity in self.lines.items())
        return DaySales(1, sum(self.lines.values()), revenue)


def invoices(source: Source, digits: int, last_row: Mapping[str, int]) -> Iterator[Invoice]:
    """Every invoice that has a sale; only those still incomplete are kept in memory."""
    incomplete: dict[str, Invoice] = {}
    for row in source.rows():
        sold = classify(row, digits)
        if not isinstance(sold, Sold):
            continue
        invoice = incomplete.get(sold.invoice)
        if invoice is None:
            # Its first row says whose it is and when it was.
            invoice = incomplete[sold.invoice] = Invoice(
                sold.invoice, customer_of(sold), sold.measures.placed_at
            )
        invoice.add(sold)
        if last_row[sold.invoice] == row.number:
            yield incomplete.pop(sold.invoice)
