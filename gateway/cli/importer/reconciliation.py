"""Whether the shop has confirmed and sold what the file says: waited for, compared, and reported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.api_client import ORDERS, Shop
from gateway.cli.importer.classification import Profile, Reason
from gateway.cli.importer.columns import in_major_units, minor_digits
from gateway.cli.importer.invoices import DaySales, Sales, Survey, Tally
from gateway.cli.importer.sending import Delivery
from gateway.cli.progress import Steps

POLL_SECONDS = 0.5
STALL_SECONDS = 120.0
"""Nothing was decided for so long: a person has to look."""
DAILY = "/v1/sales/daily"
SPAN = timedelta(days=366)
"""So many days are asked for at once."""
LATE_SECONDS = 15.0
"""Sales that are missing for so long, without anything new coming, are not merely late."""
STILL_SECONDS = 2.0
"""The same where what differs has its reason: there is more than ours, or not all of ours was confirmed."""
MOST_SHOWN = 20
"""Lines of one kind of trouble; the rest is counted."""


class Decisions(msgspec.Struct):
    """What became of the orders that are not confirmed."""

    undecided: set[str]
    stuck: dict[str, str]
    """Order → what its fulfilment has run into."""
    cancelled: dict[str, str]
    """Order → why."""

    @property
    def all_confirmed(self) -> bool:
        """Whether there is no such order."""
        return not (self.undecided or self.stuck or self.cancelled)


async def decided(shop: Shop, orders: Collection[str], placed: str, steps: Steps) -> Decisions:
    """Return when every order was confirmed or cancelled, is stuck, or nothing moves any more.

    `placed` are the tokens of the orders: no list may be from before they were there.
    """
    ours = set(orders)
    moved, fewest = time.monotonic(), len(ours)
    stuck: dict[str, str] = {}
    while True:
        began = time.monotonic()
        undecided = {
            order["order_id"] async for order in shop.items(ORDERS, after=placed, status="placed")
        } & ours
        steps.at(len(ours) - len(undecided), len(ours))
        if len(undecided) < fewest:
            moved, fewest = time.monotonic(), len(undecided)
        if undecided:
            stuck = await stuck_among(shop, undecided)
        if undecided <= stuck.keys() or time.monotonic() - moved > STALL_SECONDS:
            break
        # Asking is work for the shop as well: never more of it than of waiting.
        await asyncio.sleep(max(POLL_SECONDS, time.monotonic() - began))
    cancelled = {
        order["order_id"]: str(order.get("cancelled_reason") or "")
        async for order in shop.items(ORDERS, after=placed, status="cancelled")
        if order["order_id"] in ours
    }
    return Decisions(undecided - stuck.keys(), stuck, cancelled)


async def stuck_among(shop: Shop, orders: Collection[str]) -> dict[str, str]:
    return {
        item["order_id"]: str(item.get("problem") or "")
        async for item in shop.items("/v1/fulfilments", stuck="true")
        if item["order_id"] in orders
    }


class Difference(msgspec.Struct, frozen=True):
    """A day on which the two sides do not say the same; `country` if only that country's sales differ."""

    day: date
    ours: DaySales
    theirs: DaySales
    country: str = ""


def differences(ours: Tally, theirs: Tally, country: str = "") -> list[Difference]:
    return [
        Difference(day, ours.days.get(day, DaySales()), theirs.days.get(day, DaySales()), country)
        for day in sorted(ours.days.keys() | theirs.days.keys())
        if ours.days.get(day, DaySales()) != theirs.days.get(day, DaySales())
    ]


def sales_differences(ours: Sales, theirs: Sales) -> list[Difference]:
    """The days that differ; of the days that agree as a whole, the countries that do not."""
    apart = differences(ours.whole, theirs.whole)
    agreed = ours.whole.days.keys() - {gap.day for gap in apart}
    return apart + [
        gap
        for country in sorted(ours.countries)
        for gap in differences(
            ours.countries[country].on(agreed),
            theirs.countries.get(country, Tally()).on(agreed),
            country,
        )
    ]


async def sales(shop: Shop, days: Collection[date], currency: str, placed: str, **only: str) -> Tally:
    """The shop's sales of these days and no others, not from before `placed`."""
    tally = Tally()
    for first, last in spans(days):
        asked = {"from": first.isoformat(), "to": last.isoformat(), **only}
        answer = await shop.get(DAILY, after=placed, **asked)
        if not answer.good:
            raise CommandFailed(f"{DAILY}: {answer.problem}")
        for item in answer.body["items"]:
            tally.add(*day_sales(item, currency))
    return tally.on(days)


def spans(days: Collection[date]) -> Iterator[tuple[date, date]]:
    """First and last days to ask for, without long stretches between that have none of the days."""
    first = last = None
    for day in sorted(days):
        if first is None or last is None:
            first = last = day
        elif day - first >= SPAN or day - last > SPAN / 4:
            yield first, last
            first = last = day
        else:
            last = day
    if first is not None and last is not None:
        yield first, last


def day_sales(item: Any, currency: str) -> tuple[date, DaySales]:
    return date.fromisoformat(item["day"]), DaySales(
        item["orders"], item["units"], item["revenue"].get(currency, 0)
    )


async def settled_sales(shop: Shop, ours: Sales, currency: str, placed: str, *, confirmed: bool) -> Sales:
    """The shop's sales of our days, as soon as they are as ours, or as they stay.

    `confirmed` says that all of ours were.
    """
    days = ours.whole.days.keys()
    whole = await settled_days(shop, ours.whole, currency, placed, confirmed=confirmed)
    return Sales(
        whole,
        {
            country: await sales(shop, days, currency, placed, country=country)
            for country in sorted(ours.countries)
        },
    )


async def settled_days(shop: Shop, ours: Tally, currency: str, placed: str, *, confirmed: bool) -> Tally:
    """The same for all countries together."""
    before, changed = Tally(), time.monotonic()
    while ours.days:
        theirs = await sales(shop, ours.days, currency, placed)
        apart = differences(ours, theirs)
        if differences(before, theirs):
            before, changed = theirs, time.monotonic()
        late = confirmed and any(gap.theirs.orders < gap.ours.orders for gap in apart)
        if not apart or time.monotonic() - changed > (LATE_SECONDS if late else STILL_SECONDS):
            return theirs
        await asyncio.sleep(POLL_SECONDS)
    return Tally()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: what the file holds, what the shop took, and what it says it sold on those days.

    `rejects` is where the rows are that were not taken; `delivery` and `decisions` are None after a dry run.
    """

    file: Path
    currency: str
    profile: Profile
    rejects: Path | None
    survey: Survey
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


def report(result: Result, console: Console) -> None:

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    console.print(rows_table(result))
    if result.survey.rejected.total() and result.rejects is not None:
        say(f"rejected rows with their reasons: {result.rejects}")
    for line in remarks(result):
        say(line)
    console.print(sales_table(result))
    for line in troubles(result):
        say(line)
    for line in verdict(result):
        say(line)


def rows_table(result: Result) -> Table:
    """Rows read = rows accepted + rows rejected by reason."""
    survey = result.survey
    table = Table("rows", "count", title="Rows")
    table.columns[1].justify = "right"
    table.add_row("read", f"{survey.rows:,}", end_section=True)
    table.add_row("accepted", f"{survey.accepted:,}")
    for reason in Reason:
        if survey.rejected[reason]:
            rule = " (by a rule)" if reason in result.profile.rules else ""
            table.add_row(f"rejected: {reason}{rule}", f"{survey.rejected[reason]:,}")
    table.add_section()
    table.add_row("accepted and rejected", f"{survey.accepted + survey.rejected.total():,}")
    return table


def remarks(result: Result) -> list[str]:
    """What was not taken quite as it stands in the file."""
    said = []
    if result.survey.rounded:
        exact = f"{result.survey.rounded:,} prices were more exact than {result.currency} is"
        said.append(f"{exact}, and rounded half up")
    if result.delivery is None:
        return said
    records = result.delivery.records
    if records.further:
        said += listed(
            "customers with a further record for a further country", records.further, len(records.further)
        )
    if records.elsewhere:
        homes = {customer: f"counted in {country}" for customer, country in records.elsewhere.items()}
        said += listed("customers who live elsewhere than the file says", homes, len(homes))
    return said


def sales_table(result: Result) -> Table:
    """Orders, units and revenue accepted, against what the shop says."""
    ours, theirs = result.ours.whole.total, result.theirs.whole.total
    digits = minor_digits(result.currency)
    sent = result.delivery is not None
    compared_with = ("/v1/sales/daily", "difference") if sent else ()
    table = Table(result.file.name, "accepted", *compared_with, title="Sales")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, mine, other, decimals in (
        ("orders", ours.orders, theirs.orders, 0),
        ("units", ours.units, theirs.units, 0),
        (f"revenue {result.currency}", ours.revenue, theirs.revenue, digits),
    ):
        cells = compared(mine, other, decimals)
        table.add_row(name, *(cells if sent else cells[:1]))
    return table


def compared(ours: int, theirs: int, digits: int) -> tuple[str, str, str]:
    """Two numbers and how much more the second is."""
    gap = in_major_units(theirs - ours, digits)
    return in_major_units(ours, digits), in_major_units(theirs, digits), gap if theirs != ours else "0"


def troubles(result: Result) -> list[str]:
    """Every way in which file and shop are not the same, in lines."""
    if result.delivery is None or result.decisions is None:
        return []
    failures, decisions = result.delivery.failures, result.decisions
    lines = [
        *listed("refused", dict(failures.kept), failures.count),
        *listed("changed since they were placed", result.delivery.changed, len(result.delivery.changed)),
        *listed("cancelled", decisions.cancelled, len(decisions.cancelled)),
        *listed("stuck, see /v1/fulfilments", decisions.stuck, len(decisions.stuck)),
        *listed("not yet confirmed", dict.fromkeys(decisions.undecided, ""), len(decisions.undecided)),
    ]
    digits = minor_digits(result.currency)
    days = {
        f"{gap.day.isoformat()} {gap.country}".rstrip(): (
            f"file {said(gap.ours, digits)}; shop {said(gap.theirs, digits)}"
        )
        for gap in result.differences
    }
    lines += listed("days that differ", days, len(days))
    if any(gap.theirs.orders > gap.ours.orders for gap in result.differences):
        lines.append("other orders placed on these days count in the shop's sales as well")
    return lines


def verdict(result: Result) -> list[str]:
    lines = []
    if result.file_changed:
        lines.append(
            f"{result.file} has changed since it was read: import it again, and only what is new is sold"
        )
    if not result.survey.accepted:
        lines.append("nothing was accepted: no row of the file is a sale that can be imported")
    if result.unruly:
        lines.append(f"not imported: {result.unruly:,} rows, for reasons that are no rule of the data set")
    if result.delivery is None:
        lines.append("dry run: nothing was sent")
    elif result.reconciled:
        lines.append("reconciled: everything the file sells is sold, and nothing else on its days")
    return lines


def said(sales: DaySales, digits: int) -> str:
    return f"{sales.orders:,} orders, {sales.units:,} units, {in_major_units(sales.revenue, digits)}"


def listed(title: str, entries: Mapping[str, str], count: int) -> list[str]:
    """A title with the count, and the first entries."""
    if not count:
        return []
    first = [f"  {name}  {what}".rstrip() for name, what in sorted(entries.items())[:MOST_SHOWN]]
    more = [f"  … and {count - len(first):,} more"] if count > len(first) else []
    return [f"{title}: {count:,}", *first, *more]
