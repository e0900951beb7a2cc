"""Rows for people: a table where it fits the terminal, else a block of lines per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

LONG = 30
"""Characters a column of sentences wants at least; what is longer wraps."""


@dataclass(frozen=True)
class Column:
    """A column's heading; `number`s stand at the right, `long` texts may wrap."""

    heading: str
    number: bool = False
    long: bool = False


def print_rows(
    console: Console, title: str | None, columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> None:
    """Print the rows; nothing is cut off, however narrow the terminal is."""
    if _width(columns, rows) <= console.width:
        console.print(_table(title, columns, rows))
        return
    if title:
        console.print(Text(title, style="bold"))
    for row in rows:
        console.print(Text("-" * min(console.width, 20), style="dim"))
        for column, cell in zip(columns, row, strict=True):
            if cell:
                console.print(Text(f"{column.heading}: {cell}" if column.heading else cell))


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """How wide a table has to be: each cell has a space on either side, and there are lines between."""
    total = 1
    for number, column in enumerate(columns):
        longest = max((len(line) for row in rows for line in row[number].splitlines()), default=0)
        total += max(len(column.heading), min(longest, LONG) if column.long else longest) + 3
    return total


def _table(title: str | None, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.number else "left",
            overflow="fold",
            no_wrap=not column.long,
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table
