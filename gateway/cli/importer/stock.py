"""Receiving what the file's invoices take out of stock, once for each invoice, whatever file it comes in.

The receipts' idempotency keys are made of the invoices. For speed the invoices of a month are received
together, product by product. Where some of these are placed and others are not, the shop is asked under
the month's key whether they were all received: the expected version can never be the stock's, so that a
receipt under a new key is refused, and one under a known key is answered as it was the first time. If it
is new, a later file has brought further invoices into the month, and these are received one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from gateway.cli.importer.api_client import Answer, Shop
from gateway.cli.importer.identifiers import digest
from gateway.cli.importer.invoices import Invoice

LARGEST_RECEIPT = 1_000_000
"""Units that can be received at once."""
NEVER = '"999999999999"'
"""A version that no stock will have."""
STALE, KEY_REUSED = 412, 422
DIGEST_SIZE = 16

Group = tuple[str, str]
"""A SKU and a month, such as 2010-12."""


class Invoices(msgspec.Struct):
    """Some invoices' units of one product. `mark` tells them from others, in whichever order they came."""

    units: int = 0
    mark: int = 0

    def add(self, order_id: str, sku: str, units: int) -> None:
        """Take in an invoice."""
        content = msgspec.json.encode([order_id, sku, units])
        number = int.from_bytes(hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest())
        self.units += units
        self.mark = (self.mark + number) % (1 << 8 * DIGEST_SIZE)


class Need(msgspec.Struct):
    """What a month's invoices take of a product: all of them, and those without an order."""

    all: Invoices = msgspec.field(default_factory=Invoices)
    missing: Invoices = msgspec.field(default_factory=Invoices)


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
    """A month's receipts, product by product."""
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


async def receive(shop: Shop, receipt: Receipt, *, only_if_known: bool = False) -> Answer:
    """Receive units, or only ask whether they were received."""
    body = {"quantity": receipt.quantity, "reference": receipt.reference}
    if_match = NEVER if only_if_known else ""
    return await shop.post(f"/v1/stock/{receipt.sku}/receive", body, key=receipt.key, if_match=if_match)


def is_new(answer: Answer) -> bool:
    """Whether the shop does not know a receipt that it was only asked about."""
    return answer.status in {STALE, KEY_REUSED}


def parted(groups: Mapping[Group, Need]) -> tuple[dict[Group, Need], dict[Group, Need]]:
    """Those without any order, and those with some."""
    fresh: dict[Group, Need] = {}
    begun: dict[Group, Need] = {}
    for group, need in groups.items():
        (fresh if need.missing == need.all else begun)[group] = need
    return fresh, begun
