"""One import from its file to its reconciliation."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec
from rich.console import Console

from gateway.cli.failure import CommandFailed
from gateway.cli.importer.amounts import minor_digits
from gateway.cli.importer.confirmation import Decisions, decided
from gateway.cli.importer.invoices import invoices
from gateway.cli.importer.reported_sales import settled_sales
from gateway.cli.importer.sending import Delivery
from gateway.cli.importer.shop import Shop
from gateway.cli.importer.source import Source
from gateway.cli.importer.survey import Survey, survey
from gateway.cli.importer.tally import Difference, Tally, differences
from gateway.cli.progress import steps


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `stock` is received of each SKU instead of what the file sells, if given."""

    source: Source
    rejects: Path
    currency: str
    payment: str
    stock: int | None
    concurrency: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: what the file holds, what the shop took, and what it says it sold on those days."""

    survey: Survey
    delivery: Delivery
    decisions: Decisions
    ours: Tally
    theirs: Tally

    @property
    def differences(self) -> list[Difference]:
        """The days on which the shop's sales are not the file's."""
        return differences(self.ours, self.theirs)

    @property
    def reconciled(self) -> bool:
        """Whether everything the file sells is sold in the shop, and nothing else on those days."""
        refused = self.delivery.failures.count
        return self.decisions.all_confirmed and not (refused or self.differences)


async def run(task: Import, url: str, token: str, console: Console, tls: ssl.SSLContext) -> Result:
    """Import a file, telling on `console` how far it is; raises CommandFailed when it cannot go on."""
    digits = minor_digits(task.currency)
    found = read(task, digits, console)
    connections = task.concurrency
    async with Shop(
        url, token, connections, lambda line: console.print(line, highlight=False, soft_wrap=True), tls
    ) as shop:
        delivery = Delivery(shop, task.currency, task.concurrency)
        with steps(console, "products", len(found.products)) as shown:
            await delivery.add_products(found.products, shown)
        with steps(console, "customers", len(found.customers)) as shown:
            await delivery.register_customers(found.customers, shown)
        units = {
            sku: product.units if task.stock is None else task.stock
            for sku, product in found.products.items()
        }
        with steps(console, "stock", len(units)) as shown:
            await delivery.receive_stock(units, f"import {task.source.digest[:16]}", shown)
        with steps(console, "orders", len(found.last_row)) as shown:
            sold = invoices(task.source, digits, found.last_row)
            await delivery.place_orders(sold, task.payment, len(found.last_row), shown)
        accepted = delivery.accepted
        with steps(console, "confirmed", len(accepted.orders)) as shown:
            decisions = await decided(shop, accepted.orders, delivery.placed, shown)
        theirs = await settled_sales(
            shop, accepted.tally, task.currency, delivery.placed, confirmed=decisions.all_confirmed
        )
    return Result(survey=found, delivery=delivery, decisions=decisions, ours=accepted.tally, theirs=theirs)


def read(task: Import, digits: int, console: Console) -> Survey:
    """Read the file for the first time."""
    found = Survey()
    try:
        with steps(console, "rows") as shown:
            for found in survey(task.source, digits, task.rejects):
                if found.rows % 1000 == 0:
                    shown.at(found.rows)
            shown.at(found.rows, found.rows)
    except OSError as error:
        raise CommandFailed(f"{error.filename or task.source.path}: {error.strerror}") from None
    return found
