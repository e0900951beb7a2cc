"""`replay diff`: what queries would see differently after a switch."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from gateway.cli.replay.comparison_tables import show_comparison
from gateway.cli.replay.connection import Connection, connected, out
from gateway.cli.replay.listing import Column, print_rows
from gateway.cli.replay.model_argument import Name, model_named
from read_models.projection.model import ReadModel
from read_models.replay.diff import Diff, compare, sides_of


def diff(
    model: Name,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the live version of a read model (blue) with the one built beside it (green).

    Status 1 if a document differs.
    """
    asked = model_named(model)
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
    """Print it for people."""
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
