"""One import from its file to its reconciliation."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, timezone
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from rich.console import Console

from gateway.cli.importer.amounts import minor_digits
from gateway.cli.importer.api_client import Shop
from gateway.cli.importer.classification import Classifier, Reading, Rejected
from gateway.cli.importer.confirmation import Decisions, decided
from gateway.cli.importer.invoices import invoices
from gateway.cli.importer.placed import placed_among
from gateway.cli.importer.profile import PLAIN, Profile, Reason
from gateway.cli.importer.rejects import Rejects
from gateway.cli.importer.reported_sales import settled_sales
from gateway.cli.importer.sending import Delivery
from gateway.cli.importer.source import Source
from gateway.cli.importer.stock import fixed
from gateway.cli.importer.survey import Survey, survey
from gateway.cli.importer.tally import Difference, Sales, sales_differences
from gateway.cli.progress import steps

START_PATIENCE = 30.0
"""Seconds a stack on this machine may take to come back when an import begins."""


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `stock` is received of each SKU instead of what the file sells, if given.

    `rejects` is None where the rows that are not taken are only counted.
    """

    source: Source
    rejects: Path | None
    overwrite: bool = False
    currency: str
    payment: str = "tok_approve"
    stock: int | None = None
    concurrency: int = 32
    profile: Profile = PLAIN
    zone: ZoneInfo | timezone = UTC
    countries: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def classifier(self) -> Classifier:
        """Tells this file's sales from its other rows."""
        return Classifier(
            Reading(
                digits=minor_digits(self.currency),
                dates=self.source.dates,
                decimal=self.source.decimal,
                zone=self.zone,
                profile=self.profile,
                countries=self.countries,
            )
        )


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: what the file holds, what the shop took, and what it says it sold on those days.

    `delivery` and `decisions` are None after a dry run.
    """

    survey: Survey
    profile: Profile
    delivery: Delivery | None = None
    decisions: Decisions | None = None
    ours: Sales = msgspec.field(default_factory=Sales)
    theirs: Sales = msgspec.field(default_factory=Sales)
    file_changed: bool = False

    @property
    def differences(self) -> list[Difference]:
        """The days on which the shop's sales are not the file's."""
        return sales_differences(self.ours, self.theirs)

    @property
    def unruly(self) -> int:
        """Rows that were not taken for a reason that is no rule of the data set."""
        rejected = self.survey.rejected
        return sum(count for reason, count in rejected.items() if reason not in self.profile.rules)

    @property
    def agreed(self) -> bool:
        """Whether everything that was taken of the file is sold in the shop, and nothing else on its days."""
        if self.delivery is None or self.decisions is None:
            return True
        trouble = self.delivery.failures.count or self.delivery.changed or self.differences
        return self.decisions.all_confirmed and not trouble

    @property
    def complete(self) -> bool:
        """Whether every row was taken, or rejected by a rule; and there was one to be taken."""
        return bool(self.survey.accepted) and not self.unruly and not self.file_changed

    @property
    def reconciled(self) -> bool:
        """Whether file and shop say the same, and nothing of the file was left out without a rule."""
        return self.agreed and self.complete


def read(task: Import, classifier: Classifier, console: Console) -> Survey:
    """Read the rows, writing those that are no sales to the rejects."""
    found = Survey()
    with (
        Rejects(task.rejects, task.source.header, overwrite=task.overwrite) as rejects,
        steps(console, "rows") as shown,
    ):
        for found, row, kind in survey(task.source, classifier):
            if isinstance(kind, Rejected):
                rejects.write(row, kind)
            if found.rows % 1000 == 0:
                shown.at(found.rows)
        shown.at(found.rows, found.rows)
    return found


def dry_run(task: Import, console: Console) -> Result:
    """Read and tell; nothing is sent."""
    found = read(task, task.classifier, console)
    ours = Sales()
    for invoice in invoices(task.source, task.classifier, found):
        ours.add(invoice.placed_at.date(), invoice.country, invoice.sales)
    return Result(survey=found, profile=task.profile, ours=ours, file_changed=task.source.changed)


async def run(
    task: Import,
    url: str,
    token: str,
    console: Console,
    tls: ssl.SSLContext,
    patience: float = START_PATIENCE,
) -> Result:
    """Import a file, telling on `console` how far it is; raises CommandFailed when it cannot go on.

    `patience`: how many seconds the shop may take to answer for the first time.
    """
    classifier = task.classifier

    def notice(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    async with Shop(url, token, task.concurrency, notice, tls) as shop:
        await shop.meet(patience)
        found = read(task, classifier, console)
        if not found.accepted:
            return Result(survey=found, profile=task.profile, file_changed=task.source.changed)
        delivery = Delivery(shop, task.currency, minor_digits(task.currency), task.concurrency)
        await send(task, delivery, shop, classifier, found, console)
        accepted = delivery.accepted
        with steps(console, "confirmed", len(accepted.orders)) as shown:
            decisions = await decided(shop, accepted.orders, delivery.placed, shown)
        confirmed = decisions.all_confirmed and not delivery.changed
        theirs = await settled_sales(
            shop, accepted.sales, task.currency, delivery.placed, confirmed=confirmed
        )
    reject_refused(task, delivery.refused, classifier, found)
    return Result(
        survey=found,
        profile=task.profile,
        delivery=delivery,
        decisions=decisions,
        ours=accepted.sales,
        theirs=theirs,
        file_changed=task.source.changed,
    )


async def send(
    task: Import, delivery: Delivery, shop: Shop, classifier: Classifier, found: Survey, console: Console
) -> None:
    """Products, customers, stock and orders, in the order in which they need each other."""
    await delivery.check_currency(found.products)
    with steps(console, "products", len(found.products)) as shown:
        await delivery.add_products(found.products, shown)
    with steps(console, "customers", len(found.customers)) as shown:
        await delivery.register_customers(found.customers, shown)
    with steps(console, "orders there") as shown:
        placed = await placed_among(shop, found.heads, shown)
    sold = partial(invoices, task.source, classifier, found)
    with steps(console, "stock") as shown:
        if task.stock is None:
            await delivery.receive_stock(sold, placed, shown)
        else:
            await delivery.receive(fixed(found.products, task.stock), shown)
    with steps(console, "orders", found.invoices) as shown:
        await delivery.place_orders(sold(), task.payment, placed, found.invoices, shown)


def reject_refused(task: Import, refused: Mapping[str, str], classifier: Classifier, found: Survey) -> None:
    """Add the rows of orders that the shop does not take to the rejects, with its reason."""
    if not refused:
        return
    # The file is this import's own by now, if there is one.
    mine = task.overwrite or found.rejected.total() > 0
    with Rejects(task.rejects, task.source.header, overwrite=task.overwrite, added=mine) as rejects:
        for row in task.source.rows():
            kind = found.verdict(classifier.classify(row))
            if not isinstance(kind, Rejected) and kind.invoice in refused:
                rejects.write(row, Rejected(Reason.REFUSED, refused[kind.invoice]))
                found.accepted -= 1
                found.rejected[Reason.REFUSED] += 1
