"""Shows what differs between documents: how many, which, and in which fields."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET
from rich.console import Console

from gateway.cli.replay.listing import Column, print_rows
from read_models.replay.value_diff import Comparison, KeyExamples

WIDEST = 60
"""Characters of a value that are shown."""


def show_comparison(comparison: Comparison, old: str, new: str, console: Console) -> None:
    """Print the differences, if there are any; `old` and `new` name the sides."""
    if not comparison.differences:
        return
    documents = [
        (name, f"{examples.documents:,}", _keys(examples))
        for name, examples in (
            (f"added (in {new} only)", comparison.added),
            (f"removed (in {old} only)", comparison.removed),
            ("changed", comparison.changed),
        )
        if examples.documents
    ]
    columns = (Column("documents"), Column("number", number=True), Column("such as", long=True))
    print_rows(console, "Differences", columns, documents)
    if not comparison.fields:
        return
    fields = [
        (field, f"{change.documents:,}", example.key, _value(example.old), _value(example.new))
        for field, change in comparison.fields.items()
        for example in change.examples
    ]
    field_columns = (
        *(Column("field"), Column("documents", number=True), Column("such as")),
        *(Column(old, long=True), Column(new, long=True)),
    )
    print_rows(console, "Changed fields", field_columns, fields)


def _keys(examples: KeyExamples) -> str:
    more = examples.documents - len(examples.keys)
    return ", ".join(examples.keys) + (f" and {more:,} more" if more else "")


def _value(value: Any) -> str:
    if value is UNSET:
        return "absent"
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=int).decode()
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
