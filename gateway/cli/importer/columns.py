"""The columns an import needs, and which of a file's own columns they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from gateway.cli.errors import CommandFailed

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
NEXT_PAIR = re.compile(rf",\s*(?=(?:{'|'.join(COLUMNS)})\s*=)")
"""Where one `--column` value goes on to the next column; a comma inside a header's name is none."""
MOST_SHOWN = 40


def column_names(given: Iterable[str]) -> dict[str, str]:
    """Read `--column`: `InvoiceNo=Invoice`, or several with commas; raises CommandFailed."""
    names: dict[str, str] = {}
    for pair in (pair for text in given for pair in NEXT_PAIR.split(text)):
        column, equals, name = (part.strip() for part in pair.partition("="))
        if column not in COLUMNS or not equals or not name:
            raise CommandFailed(
                f"--column: {pair!r} is not COLUMN=HEADER with a column of {', '.join(COLUMNS)}"
            )
        if column in names:
            raise CommandFailed(f"--column: {column} is given twice: {names[column]!r} and {name!r}")
        names[column] = name
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        both = ", ".join(column for column, name in names.items() if name == twice[0])
        raise CommandFailed(f"--column: {twice[0]!r} is given for two columns: {both}")
    return names


def places(header: Sequence[str], names: dict[str, str], file: str) -> dict[str, int]:
    """Where each column stands in the file; raises CommandFailed on one that is missing or there twice."""
    wanted = {column: names.get(column, column) for column in COLUMNS}
    shared = [name for name, count in Counter(wanted.values()).items() if count > 1]
    if shared:
        both = " and ".join(column for column, name in wanted.items() if name == shared[0])
        raise CommandFailed(f"--column: {shared[0]!r} would be {both}; give each its own header")
    missing = [name for name in wanted.values() if name not in header]
    if missing:
        raise CommandFailed(
            f"{file} lacks the column {', '.join(missing)}; its header has {shown(header)}; "
            "--column says what a column is called there, as in --column UnitPrice=Price"
        )
    twice = [name for name in wanted.values() if header.count(name) > 1]
    if twice:
        raise CommandFailed(
            f"{file} has the column {twice[0]!r} {header.count(twice[0])} times; "
            "rename those that are not meant"
        )
    return {column: header.index(name) for column, name in wanted.items()}


def shown(header: Sequence[str]) -> str:
    """A header in a message, shortened."""
    named = [repr(name[:MOST_SHOWN]) for name in header[:MOST_SHOWN]]
    return ", ".join(named) + (f" and {len(header) - MOST_SHOWN} more" if len(header) > MOST_SHOWN else "")
