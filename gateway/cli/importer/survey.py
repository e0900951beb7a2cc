"""The first reading of the file: what must be there before its orders can be placed, and what is rejected."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.cli.importer.classification import Reason, Rejected, Sold, classify
from gateway.cli.importer.source import Source

GUEST = "guest-"


class Product(msgspec.Struct):
    """A product as the file first has it; `units` is how many of it the file sells."""

    name: str
    unit_price: int
    units: int = 0


class Survey(msgspec.Struct):
    """Everything but the orders: as large as the shop's range and clientele, not as the file."""

    rows: int = 0
    accepted: int = 0
    rejected: Counter[Reason] = msgspec.field(default_factory=Counter)
    rounded: int = 0
    products: dict[str, Product] = msgspec.field(default_factory=dict)
    customers: dict[str, str] = msgspec.field(default_factory=dict)
    """Customer → country; the first one counts."""
    unknown_countries: set[str] = msgspec.field(default_factory=set)
    last_row: dict[str, int] = msgspec.field(default_factory=dict)
    """Invoice → the number of its last row: when that was read, the order is complete."""

    def count(self, number: int, row: Sold | Rejected) -> None:
        """Take in one row."""
        self.rows += 1
        if isinstance(row, Rejected):
            self.rejected[row.reason] += 1
            return
        self.accepted += 1
        self.rounded += row.measures.rounded
        product = self.products.setdefault(row.sku, Product(row.description, row.measures.unit_price))
        product.name = product.name or row.description
        product.units += row.measures.quantity
        self.customers.setdefault(customer_of(row), row.country)
        if row.country_name:
            self.unknown_countries.add(row.country_name)
        self.last_row[row.invoice] = number


def customer_of(row: Sold) -> str:
    """Who bought it: a sale without a customer belongs to its country's guest."""
    return row.customer or f"{GUEST}{row.country}"


def survey(source: Source, digits: int, rejects: Path) -> Iterator[Survey]:
    """Read the file, writing the rows that are no sales to `rejects`; yields the one survey after every row.

    The rejects keep the file's columns, with the row's number before them and the reason after.
    """
    found = Survey()
    with rejects.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["Row", *source.header, "Reason", "Detail"])
        for row in source.rows():
            kind = classify(row, digits)
            if isinstance(kind, Rejected):
                padding = [""] * (len(source.header) - len(row.fields))
                writer.writerow([row.number, *row.fields, *padding, kind.reason, kind.detail])
            found.count(row.number, kind)
            yield found
    yield found
