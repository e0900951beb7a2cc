"""`replay repair`: some documents of a read model, folded anew in place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from gateway.cli.replay.arguments import Name, model_of
from gateway.cli.replay.connection import Connection, connected, err, out
from gateway.cli.replay.diff import show_comparison
from read_models.projection.model import ReadModel
from read_models.projection.versions import versions_of
from read_models.queries.time_travel import MomentInvalid, parse_time
from read_models.replay.errors import ReplayFailed
from read_models.replay.repair import Repair
from read_models.replay.repair import repair as repair_documents
from read_models.replay.selection import Scope, ScopeInvalid, select

MOST_SHOWN = 20


def repair(
    model: Name,
    *,
    order: Annotated[str | None, typer.Option(help="Documents that an order's events have made.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Documents of this key; may be repeated.")] = None,
    stream: Annotated[str | None, typer.Option(help="Documents of a stream's events: order-42.")] = None,
    context: Annotated[str | None, typer.Option(help="Only events of this context.")] = None,
    events: Annotated[str | None, typer.Option(help="Only these events: OrderPlaced,OrderCancelled.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only events from this time on: 2026-03-01T14:03:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only events before this time.")] = None,
    from_position: Annotated[
        int | None, typer.Option(min=1, help="Only events from this position of --context on.")
    ] = None,
    to_position: Annotated[
        int | None, typer.Option(min=1, help="Only events up to this position of --context.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would change, and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fold anew, from all their events, the documents that have an event as asked for, and no others.

    The live documents are replaced in transactions, while projectors and queries go on. Status 1 if a
    document could not be folded; it is left as it is. Status 2 if there is nothing of what was asked for.
    """
    asked = model_of(model)
    scope = Scope(
        order=order,
        keys=tuple(key or ()),
        stream=stream,
        context=context,
        names=None if events is None else _names(asked, events),
        since=_time("--since", since),
        until=_time("--until", until),
        first=from_position,
        last=to_position,
    )
    try:
        scope.check(asked)
        found = connected(lambda connection: _repair(connection, asked, scope, dry_run=dry_run))
    except ScopeInvalid as error:
        raise ReplayFailed(str(error)) from None
    if as_json:
        out().print_json(data=msgspec.to_builtins(found))
    else:
        show(found, out())
    if not found.documents:
        raise ReplayFailed(f"nothing was repaired: {asked.name} has no event as asked for")
    if found.absent:
        others = "; the others are done" if found.documents > len(found.absent) else ""
        raise ReplayFailed(
            f"{asked.name} has no document {', '.join(found.absent)}, and no event makes one{others}"
        )
    if found.unfit_documents:
        raise typer.Exit(1)


async def _repair(connection: Connection, model: ReadModel[Any], scope: Scope, *, dry_run: bool) -> Repair:
    live = (await versions_of(connection.mongo, model.name)).live
    with err().status(f"looking for documents of {live}") as status:
        selection = await select(connection.log, model, scope)
        status.update(f"folding {len(selection.partitions):,} documents of {live}")
        return await repair_documents(
            connection.mongo, connection.log, model, live, selection, dry_run=dry_run
        )


def _names(model: ReadModel[Any], text: str) -> frozenset[str]:
    """Wire names, of those or of the events' classes alone; raises ReplayFailed."""
    known: Mapping[str, str] = {
        form: name
        for source in model.sources
        for name in source.names
        for form in (name, name.rpartition(".")[2])
    }
    asked = [part.strip() for part in text.split(",")]
    for name in asked:
        if name not in known:
            classes = ", ".join(sorted(form for form in known if "." not in form))
            raise ReplayFailed(f"--events: {model.name} is made of no {name!r}; there are {classes}")
    return frozenset(known[name] for name in asked)


def _time(option: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except MomentInvalid as error:
        raise ReplayFailed(f"{option}: {error}") from None


def show(found: Repair, console: Console) -> None:
    would = "would be " if found.dry_run else ""
    matched = f", {found.matched:,} events match" if found.matched else ""
    console.print(
        f"{found.collection}: {found.documents:,} documents selected{matched}; {found.read:,} events read"
    )
    show_comparison(found.comparison, "before", "after", console)
    right = f"{found.comparison.same:,} are right already"
    console.print(f"{found.comparison.differences:,} documents {would}written, {right}")
    if found.freed:
        console.print(f"{found.freed:,} keys {would}no longer parked")
    for unfit in found.unfit[:MOST_SHOWN]:
        console.print(f"{unfit.key} is left as it is: {unfit.event_id}: {unfit.error}", markup=False)
    if found.unfit_documents > MOST_SHOWN:
        console.print(f"and {found.unfit_documents - MOST_SHOWN:,} more are left as they are")
