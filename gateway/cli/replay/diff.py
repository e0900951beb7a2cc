"""`replay diff`: what queries would see differently after a switch."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from msgspec import UNSET
from rich.console import Console

from gateway.cli.replay.arguments import Name, model_of
from gateway.cli.replay.connection import Connection, connected, out
from gateway.cli.replay.listing import Column, print_rows
from read_models.projection.model import ReadModel
from read_models.replay.diff import Diff, compare, sides_of
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


def diff(
    model: Name,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the live version of a read model (blue) with the one built beside it (green).

    Status 1 if a document differs.
    """
    asked = model_of(model)
    found = connected(lambda connection: _compare(connection, asked))
    if as_json:
        out().print_json(data={"clean": found.clean, **msgspec.to_builtins(found)})
    else:
        show(found, out())
    if not found.clean:
        raise typer.Exit(1)


async def _compare(connection: Connection, model: ReadModel[Any]) -> Diff:
    blue, green = await sides_of(connection.mongo, model.name)
    return await compare(connection.mongo, connection.log, model, blue, green)


def show(found: Diff, console: Console) -> None:
    columns = (
        *(Column("side"), Column("version"), Column("documents", number=True)),
        *(Column("checksum of all"), Column("dead letters", number=True)),
    )
    rows = [
        (name, side.collection, f"{side.documents:,}", side.checksum, f"{side.dead_letters:,}")
        for name, side in (("blue (live)", found.blue), ("green", found.green))
    ]
    print_rows(console, found.model, columns, rows)
    for side in (found.blue, found.green):
        if side.caught_up:
            console.print(f"{side.collection} was {side.caught_up:,} events late; they were folded in first")
    show_comparison(found.comparison, "blue", "green", console)
    if found.clean:
        console.print("clean: every document is the same, byte for byte")
