"""Shows what differs between documents: how many, which, and in which fields."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.table import Table
from rich.text import Text

from read_models.replay.comparison import Comparison, KeyExamples

WIDEST = 60
"""Characters of a value that are shown."""


def show_comparison(comparison: Comparison, old: str, new: str, console: Console) -> None:
    """Print the differences, if there are any; `old` and `new` name the sides."""
    if not comparison.differences:
        return
    documents = Table("documents", "", "such as", title="Differences")
    documents.columns[1].justify = "right"
    for name, examples in (
        (f"added (in {new} only)", comparison.added),
        (f"removed (in {old} only)", comparison.removed),
        ("changed", comparison.changed),
    ):
        if examples.documents:
            documents.add_row(name, f"{examples.documents:,}", Text(_keys(examples)))
    console.print(documents)
    if not comparison.fields:
        return
    fields = Table("field", "documents", "such as", old, new, title="Changed fields")
    fields.columns[1].justify = "right"
    for field, change in comparison.fields.items():
        for number, example in enumerate(change.examples):
            first = (Text(field), f"{change.documents:,}") if number == 0 else (Text(), "")
            fields.add_row(*first, Text(example.key), _value(example.old), _value(example.new))
    console.print(fields)


def _keys(examples: KeyExamples) -> str:
    more = examples.documents - len(examples.keys)
    return ", ".join(examples.keys) + (f" and {more:,} more" if more else "")


def _value(value: Any) -> Text:
    if value is UNSET:
        return Text("absent", style="dim")
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=int).decode()
    return Text(text if len(text) <= WIDEST else text[: WIDEST - 1] + "…")
