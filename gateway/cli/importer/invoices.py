"""The invoices of a file: what they sell and need in the shop, and whether an order is like its invoice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from gateway.cli.importer.classification import Classifier, Reason, Rejected, Sold, digest, guest, in_country
from gateway.cli.importer.columns import in_major_units
from gateway.cli.importer.source import Row, Source

LARGEST_TOTAL = 10**11
"""Minor units an order may come to."""
NEVER = datetime.max.replace(tzinfo=UTC)
LARGEST_RECEIPT = 1_000_000
"""Units that can be received at once."""
DIGEST_SIZE = 16
MOST_NAMED = 3
"""Differences between an invoice and its order that are named."""


class DaySales(msgspec.Struct, frozen=True):
    """A day's orders, units and revenue (minor units, one currency)."""

    orders: int = 0
    units: int = 0
    revenue: int = 0

    def __add__(self, other: DaySales) -> DaySales:
        return DaySales(self.orders + other.orders, self.units + other.units, self.revenue + other.revenue)


class Tally(msgspec.Struct):
    """Sales by day (UTC)."""

    days: dict[date, DaySales] = msgspec.field(default_factory=dict)

    def add(self, day: date, sales: DaySales) -> None:
        self.days[day] = self.days.get(day, DaySales()) + sales

    @property
    def total(self) -> DaySales:
        return sum(self.days.values(), DaySales())

    def on(self, days: Iterable[date]) -> Tally:
        return Tally({day: self.days[day] for day in days if day in self.days})


class Sales(msgspec.Struct):
    """Sales by day, of all countries and of each."""

    whole: Tally = msgspec.field(default_factory=Tally)
    countries: dict[str, Tally] = msgspec.field(default_factory=dict)

    def add(self, day: date, country: str, sales: DaySales) -> None:
        self.whole.add(day, sales)
        self.countries.setdefault(country, Tally()).add(day, sales)


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
        units: dict[str, int] = {}
        for sku, _, quantity in self.lines:
            units[sku] = units.get(sku, 0) + quantity
        return units

    @property
    def sales(self) -> DaySales:
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


# What the file's invoices take out of stock is received once for each invoice, whatever file it comes in: the
# receipts' idempotency keys are made of the invoices. For speed the invoices of a month are received
# together, product by product. Where some of these are placed and others are not, the shop is asked under
# the month's key whether they were all received: the expected version can never be the stock's, so that a
# receipt under a new key is refused, and one under a known key is answered as it was the first time. If it
# is new, a later file has brought further invoices into the month, and these are received one by one.

Group = tuple[str, str]
"""A SKU and a month, such as 2010-12."""


class Units(msgspec.Struct):
    """Some invoices' units of one product. `mark` tells them from others, in whichever order they came."""

    units: int = 0
    mark: int = 0

    def add(self, order_id: str, sku: str, units: int) -> None:
        content = msgspec.json.encode([order_id, sku, units])
        number = int.from_bytes(hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest())
        self.units += units
        self.mark = (self.mark + number) % (1 << 8 * DIGEST_SIZE)


class Need(msgspec.Struct):
    """What a month's invoices take of a product: all of them, and those without an order."""

    all: Units = msgspec.field(default_factory=Units)
    missing: Units = msgspec.field(default_factory=Units)


class Receipt(msgspec.Struct, frozen=True):
    """Units to be received under a key."""

    sku: str
    quantity: int
    reference: str
    key: str
    group: Group


def needs(invoices: Iterable[Invoice], placed: Collection[str]) -> dict[Group, Need]:
    """What is to be received by product and month; months whose orders are all there need nothing."""
    found: dict[Group, Need] = {}
    for invoice in invoices:
        month = invoice.placed_at.strftime("%Y-%m")
        for sku, units in invoice.units_by_sku.items():
            need = found.setdefault((sku, month), Need())
            need.all.add(invoice.order_id, sku, units)
            if invoice.order_id not in placed:
                need.missing.add(invoice.order_id, sku, units)
    return {group: need for group, need in found.items() if need.missing.units}


def together(groups: Mapping[Group, Need]) -> list[Receipt]:
    return [
        receipt
        for (sku, month), need in groups.items()
        for receipt in portions(sku, need.all.units, f"import {month}", f"{need.all.mark:x}", (sku, month))
    ]


def one_by_one(
    invoices: Iterable[Invoice], placed: Collection[str], groups: Collection[Group]
) -> Iterator[Receipt]:
    """The receipts of the invoices without an order, for these products and months."""
    for invoice in invoices:
        month = invoice.placed_at.strftime("%Y-%m")
        for sku, units in invoice.units_by_sku.items():
            if invoice.order_id not in placed and (sku, month) in groups:
                yield from portions(sku, units, f"import {invoice.order_id}", "invoice", (sku, month))


def fixed(skus: Iterable[str], units: int) -> list[Receipt]:
    """So many units of each product, once."""
    return [receipt for sku in skus for receipt in portions(sku, units, "import", "fixed", (sku, ""))]


def portions(sku: str, units: int, reference: str, mark: str, group: Group) -> Iterator[Receipt]:
    """A receipt, in parts if it is too large for one."""
    for part, begun in enumerate(range(0, units, LARGEST_RECEIPT)):
        quantity = min(LARGEST_RECEIPT, units - begun)
        content = msgspec.json.encode([sku, units, reference, mark, part])
        yield Receipt(sku, quantity, reference, f"import-stock-{digest(content)[:40]}", group)


def parted(groups: Mapping[Group, Need]) -> tuple[dict[Group, Need], dict[Group, Need]]:
    """Those without any order, and those with some."""
    fresh: dict[Group, Need] = {}
    begun: dict[Group, Need] = {}
    for group, need in groups.items():
        (fresh if need.missing == need.all else begun)[group] = need
    return fresh, begun


class Placed(msgspec.Struct, frozen=True):
    """An order of the shop: what it has to share with its invoice."""

    customer_id: str
    currency: str
    placed_at: datetime
    lines: Mapping[tuple[str, int], int]
    """Units by SKU and unit price."""


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
