"""The reconciliation as its user sees it: rows, then sales, then everything that is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from gateway.cli.importer.amounts import in_major_units, minor_digits
from gateway.cli.importer.classification import Reason
from gateway.cli.importer.run import Import, Result
from gateway.cli.importer.survey import Survey
from gateway.cli.importer.tally import DaySales

MOST_SHOWN = 20
"""Lines of one kind of trouble; the rest is counted."""


def report(task: Import, result: Result, console: Console) -> None:
    """Print it all."""
    console.print(rows_table(result.survey))
    if result.survey.rejected.total():
        console.print(f"rejected rows with their reasons: {task.rejects}", highlight=False, soft_wrap=True)
    for remark in remarks(task, result.survey):
        console.print(remark, highlight=False, soft_wrap=True)
    console.print(sales_table(task, result))
    for line in troubles(task, result):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if result.reconciled:
        console.print("reconciled: everything the file sells is sold, and nothing else on its days")


def rows_table(survey: Survey) -> Table:
    """Rows read = rows accepted + rows rejected by reason."""
    table = Table("rows", "count", title="Rows")
    table.columns[1].justify = "right"
    table.add_row("read", f"{survey.rows:,}", end_section=True)
    table.add_row("accepted", f"{survey.accepted:,}")
    for reason in Reason:
        if survey.rejected[reason]:
            table.add_row(f"rejected: {reason}", f"{survey.rejected[reason]:,}")
    table.add_section()
    table.add_row("accepted and rejected", f"{survey.accepted + survey.rejected.total():,}")
    return table


def remarks(task: Import, survey: Survey) -> list[str]:
    """What was not taken quite as it stands in the file."""
    said = []
    if survey.rounded:
        said.append(f"{survey.rounded:,} prices were more exact than {task.currency} is, and rounded half up")
    if survey.unknown_countries:
        names = ", ".join(sorted(survey.unknown_countries)[:MOST_SHOWN])
        said.append(f"countries without a known code, counted as ZZ: {names}")
    return said


def sales_table(task: Import, result: Result) -> Table:
    """Orders, units and revenue accepted against what the shop says."""
    ours, theirs = result.ours.total, result.theirs.total
    table = Table(task.source.path.name, "accepted", "/v1/sales/daily", "difference", title="Sales")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("orders", *compared(ours.orders, theirs.orders, 0))
    table.add_row("units", *compared(ours.units, theirs.units, 0))
    digits = minor_digits(task.currency)
    table.add_row(f"revenue {task.currency}", *compared(ours.revenue, theirs.revenue, digits))
    return table


def compared(ours: int, theirs: int, digits: int) -> tuple[str, str, str]:
    """Two numbers and how much more the second is."""
    gap = in_major_units(theirs - ours, digits)
    return in_major_units(ours, digits), in_major_units(theirs, digits), gap if theirs != ours else "0"


def troubles(task: Import, result: Result) -> list[str]:
    """Every way in which file and shop are not the same, in lines."""
    decisions, failures = result.decisions, result.delivery.failures
    lines = [
        *listed("refused", dict(failures.kept), failures.count),
        *listed("cancelled", decisions.cancelled, len(decisions.cancelled)),
        *listed("stuck, see /v1/fulfilments", decisions.stuck, len(decisions.stuck)),
        *listed("not yet confirmed", dict.fromkeys(decisions.undecided, ""), len(decisions.undecided)),
    ]
    digits = minor_digits(task.currency)
    days = {
        gap.day.isoformat(): f"file {said(gap.ours, digits)}; shop {said(gap.theirs, digits)}"
        for gap in result.differences
    }
    lines += listed("days that differ", days, len(days))
    if days:
        lines.append("other orders placed on these days count in the shop's sales as well")
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
