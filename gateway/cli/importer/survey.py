"""The first reading of the rows: what is a sale, which invoices are whole, and what they need in the shop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from gateway.cli.importer.classification import Classifier, Rejected, Sold
from gateway.cli.importer.identifiers import guest
from gateway.cli.importer.profile import Reason
from gateway.cli.importer.source import Row, Source

LARGEST_TOTAL = 10**11
"""Minor units an order may come to."""
NEVER = datetime.max.replace(tzinfo=UTC)


class Head(msgspec.Struct):
    """What an invoice's rows say together.

    `last` is the line of its last sale, `spoilt` why it is not whole.
    """

    customer: str
    country: str
    placed_at: datetime
    last: int
    total: int = 0
    spoilt: str = ""


class Product(msgspec.Struct):
    """A product as the file first has it; `units` is how many of it the file sells."""

    name: str
    unit_price: int
    units: int = 0


class Buyer(msgspec.Struct, frozen=True, order=True):
    """A customer's first invoice to a country; the first of all is the one their record is made with."""

    placed_at: datetime
    invoice: str
    country: str


class Survey(msgspec.Struct):
    """Everything but the orders: as large as the shop's range and clientele, not as the file."""

    rows: int = 0
    accepted: int = 0
    rejected: Counter[Reason] = msgspec.field(default_factory=Counter)
    rounded: int = 0
    heads: dict[str, Head] = msgspec.field(default_factory=dict)
    products: dict[str, Product] = msgspec.field(default_factory=dict)
    customers: dict[str, dict[str, Buyer]] = msgspec.field(default_factory=dict)
    """Customer → their first invoice to each country."""

    @property
    def invoices(self) -> int:
        """How many of them are whole."""
        return sum(not head.spoilt for head in self.heads.values())

    def meet(self, row: Row, kind: Sold | Rejected, invoice: str) -> None:
        """Take in one row for what it says of its invoice."""
        if isinstance(kind, Rejected):
            if kind.spoils and invoice:
                self.spoil(invoice, row.line, f"{kind.reason} in line {row.line}")
            return
        sold = kind.measures
        head = self.heads.get(invoice)
        if head is None:
            head = self.heads[invoice] = Head(kind.customer, kind.country, sold.placed_at, row.line)
        elif not head.spoilt and (head.customer, head.country) != (kind.customer, kind.country):
            head.spoilt = f"line {row.line} names another customer or country than the lines before it"
        # The same in whichever order the rows come.
        head.placed_at = min(head.placed_at, sold.placed_at)
        head.last = row.line
        head.total += sold.quantity * sold.unit_price
        if head.total > LARGEST_TOTAL and not head.spoilt:
            head.spoilt = "it comes to more than an order may"

    def spoil(self, invoice: str, line: int, why: str) -> None:
        """An invoice is not whole."""
        head = self.heads.get(invoice)
        if head is None:
            head = self.heads[invoice] = Head("", "", NEVER, line)
        head.spoilt = head.spoilt or why

    def verdict(self, kind: Sold | Rejected) -> Sold | Rejected:
        """What a row is when all others are known."""
        if isinstance(kind, Sold) and (why := self.heads[kind.invoice].spoilt):
            return Rejected(Reason.BAD_INVOICE, why)
        return kind

    def count(self, kind: Sold | Rejected) -> None:
        """Take in one row's verdict."""
        self.rows += 1
        if isinstance(kind, Rejected):
            self.rejected[kind.reason] += 1
            return
        self.accepted += 1
        self.rounded += kind.measures.rounded
        product = self.products.setdefault(kind.sku, Product(kind.description, kind.measures.unit_price))
        product.name = product.name or kind.description
        product.units += kind.measures.quantity
        head = self.heads[kind.invoice]
        buyer = Buyer(head.placed_at, kind.invoice, kind.country)
        records = self.customers.setdefault(customer_of(kind), {})
        records[kind.country] = min(buyer, records.get(kind.country, buyer))


def customer_of(row: Sold) -> str:
    """Who bought it: a sale without a customer belongs to its country's guest."""
    return row.customer or guest(row.country)


def survey(source: Source, classifier: Classifier) -> Iterator[tuple[Survey, Row, Sold | Rejected]]:
    """Read the rows twice: for their invoices, then each with its verdict. The survey is whole at the end."""
    found = Survey()
    for row in source.rows():
        kind = classifier.classify(row)
        found.meet(row, kind, kind.invoice if isinstance(kind, Sold) else classifier.invoice_of(row))
    for row in source.rows():
        kind = found.verdict(classifier.classify(row))
        found.count(kind)
        yield found, row, kind
