"""The reconciliation as its user sees it: rows, then sales, then everything that is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from gateway.cli.importer.amounts import in_major_units, minor_digits
from gateway.cli.importer.profile import ONLINE_RETAIL, PLAIN, Reason
from gateway.cli.importer.run import Import, Result
from gateway.cli.importer.sending import Delivery
from gateway.cli.importer.survey import Survey
from gateway.cli.importer.tally import DaySales

MOST_SHOWN = 20
"""Lines of one kind of trouble; the rest is counted."""


def introduce(task: Import, console: Console) -> None:
    """Say how the file is understood, before anything of it is sent."""
    source, profile = task.source, task.profile
    lines = [
        f"{source.path.name}: {source.said}",
        f"profile {profile.name}, currency {task.currency}, times without an offset are in {task.zone}",
    ]
    if profile is PLAIN and source.is_online_retail:
        lines.append(
            "its header is that of the UCI data set: the rules of that (charges, credit notes) are "
            f"--profile {ONLINE_RETAIL.name}"
        )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def report(task: Import, result: Result, console: Console) -> None:
    """Print it all."""

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    console.print(rows_table(result))
    if result.survey.rejected.total() and task.rejects is not None:
        say(f"rejected rows with their reasons: {task.rejects}")
    for line in remarks(task, result):
        say(line)
    console.print(sales_table(task, result))
    for line in troubles(task, result):
        say(line)
    for line in verdict(task, result):
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


def remarks(task: Import, result: Result) -> list[str]:
    """What was not taken quite as it stands in the file."""
    said = rounded(task, result.survey)
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


def rounded(task: Import, survey: Survey) -> list[str]:
    """Prices that are not quite those of the file."""
    if not survey.rounded:
        return []
    return [f"{survey.rounded:,} prices were more exact than {task.currency} is, and rounded half up"]


def sales_table(task: Import, result: Result) -> Table:
    """Orders, units and revenue accepted, against what the shop says."""
    ours, theirs = result.ours.whole.total, result.theirs.whole.total
    digits = minor_digits(task.currency)
    sent = result.delivery is not None
    compared_with = ("/v1/sales/daily", "difference") if sent else ()
    table = Table(task.source.path.name, "accepted", *compared_with, title="Sales")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, mine, other, decimals in (
        ("orders", ours.orders, theirs.orders, 0),
        ("units", ours.units, theirs.units, 0),
        (f"revenue {task.currency}", ours.revenue, theirs.revenue, digits),
    ):
        cells = compared(mine, other, decimals)
        table.add_row(name, *(cells if sent else cells[:1]))
    return table


def compared(ours: int, theirs: int, digits: int) -> tuple[str, str, str]:
    """Two numbers and how much more the second is."""
    gap = in_major_units(theirs - ours, digits)
    return in_major_units(ours, digits), in_major_units(theirs, digits), gap if theirs != ours else "0"


def troubles(task: Import, result: Result) -> list[str]:
    """Every way in which file and shop are not the same, in lines."""
    if result.delivery is None or result.decisions is None:
        return []
    decisions = result.decisions
    lines = [
        *refusals(result.delivery),
        *listed("changed since they were placed", result.delivery.changed, len(result.delivery.changed)),
        *listed("cancelled", decisions.cancelled, len(decisions.cancelled)),
        *listed("stuck, see /v1/fulfilments", decisions.stuck, len(decisions.stuck)),
        *listed("not yet confirmed", dict.fromkeys(decisions.undecided, ""), len(decisions.undecided)),
    ]
    digits = minor_digits(task.currency)
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


def refusals(delivery: Delivery) -> list[str]:
    """What the shop did not take."""
    return listed("refused", dict(delivery.failures.kept), delivery.failures.count)


def verdict(task: Import, result: Result) -> list[str]:
    """What it comes to."""
    lines = []
    if result.file_changed:
        lines.append(
            f"{task.source.path} has changed since it was read: import it again, and only what is new is sold"
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
    """A day's sales in a line."""
    return f"{sales.orders:,} orders, {sales.units:,} units, {in_major_units(sales.revenue, digits)}"


def listed(title: str, entries: Mapping[str, str], count: int) -> list[str]:
    """A title with the count, and the first entries."""
    if not count:
        return []
    first = [f"  {name}  {what}".rstrip() for name, what in sorted(entries.items())[:MOST_SHOWN]]
    more = [f"  … and {count - len(first):,} more"] if count > len(first) else []
    return [f"{title}: {count:,}", *first, *more]
