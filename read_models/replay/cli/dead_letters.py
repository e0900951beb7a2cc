"""`replay dead-letters`: events that could not be applied: what they are, and what is done about them."""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.event_message import Delivered
from read_models import skipped_events
from read_models.catalogue import MODELS
from read_models.dead_letters import DeadLetter, list_parked, parked_events
from read_models.model import ReadModel, instant
from read_models.replay import retrying
from read_models.replay.cli.connection import Connection, connected, out
from read_models.replay.cli.model_argument import Name, model_named
from read_models.replay.failure import ReplayFailed
from read_models.replay.retrying import Retried
from read_models.versions import versions_of

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key = Annotated[str, typer.Argument(help="Key that is parked.", show_default=False)]

app = typer.Typer(name="dead-letters", help="Events that could not be applied, and those behind them.")


@app.command(name="list")
def list_(
    models: Annotated[
        list[str] | None, typer.Argument(help="Read models. [default: all]", show_default=False)
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """List the keys that are parked, in every version of the read models."""
    asked = [model_named(name) for name in models or MODELS]
    letters = connected(lambda connection: _letters(connection, asked))
    if as_json:
        out().print_json(data=msgspec.to_builtins(letters))
        return
    if not letters:
        out().print("there are no dead letters")
        return
    table = Table("version", "key", "event", "", "error", "waiting behind", "since", title="Dead letters")
    table.columns[5].justify = "right"
    for letter in letters:
        table.add_row(
            letter.collection,
            Text(letter.key),
            Text(letter.event_id),
            letter.name,
            Text(letter.error),
            f"{letter.waiting:,}",
            letter.parked_at,
        )
    out().print(table)


@app.command()
def show(model: Name, key: Key, *, as_json: Json = False) -> None:
    """Print a parked key's events, and why the first of them could not be applied."""
    asked = model_named(model)

    async def find(connection: Connection) -> list[tuple[DeadLetter, list[Delivered]]]:
        return [
            (letter, await parked_events(connection.mongo, letter.collection, key))
            for letter in await _letters_of(connection, asked, [key])
        ]

    found = connected(find)
    if as_json:
        out().print_json(data=[{**msgspec.to_builtins(a), "events": _events(b)} for a, b in found])
        return
    for letter, events in found:
        _print_letter(letter, events, out())


@app.command()
def retry(
    model: Name,
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys. [default: all that are parked]", show_default=False)
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Apply parked events in order, as projections and upcasters are now, and those that waited behind.

    Status 1 if a key is still parked.
    """
    asked = model_named(model)
    actor = _actor()
    _settle(
        asked,
        keys or [],
        lambda connection, letter: retrying.retry(connection.mongo, asked, letter.collection, letter, actor),
        as_json=as_json,
    )


@app.command()
def skip(
    model: Name,
    key: Key,
    *,
    reason: Annotated[str, typer.Option(help="Why the read model does without this event; kept.")],
    as_json: Json = False,
) -> None:
    """Do without the event that could not be applied, also in later rebuilds, and apply those behind it.

    Status 1 if another one of them could not be applied either.
    """
    asked = model_named(model)
    if not reason.strip():
        raise ReplayFailed("--reason: say why; it is kept")
    actor = _actor()
    _settle(
        asked,
        [key],
        lambda connection, letter: retrying.skip(
            connection.mongo, asked, letter.collection, letter, actor, reason
        ),
        as_json=as_json,
    )


@app.command()
def audit(model: Name, *, as_json: Json = False) -> None:
    """Print what was retried and skipped, by whom, when and why."""
    asked = model_named(model)
    entries = connected(lambda connection: skipped_events.audit(connection.mongo, asked.name))
    if as_json:
        out().print_json(data=msgspec.to_builtins(entries))
        return
    table = Table("at", "who", "what", "version", "event", "error", "reason", "applied", "still parked")
    for entry in entries:
        table.add_row(
            entry.at,
            Text(entry.actor),
            entry.action,
            entry.collection,
            Text(entry.event_id),
            Text(entry.error),
            Text(entry.reason or ""),
            f"{entry.applied:,}",
            f"{entry.parked:,}",
        )
    out().print(table)


async def _letters(connection: Connection, models: Sequence[ReadModel[Any]]) -> list[DeadLetter]:
    return [
        letter
        for model in models
        for collection in (await versions_of(connection.mongo, model.name)).versions
        for letter in await list_parked(connection.mongo, collection)
    ]


async def _letters_of(connection: Connection, model: ReadModel[Any], keys: Sequence[str]) -> list[DeadLetter]:
    """Of some keys, or of all if there are none; raises ReplayFailed if one of them is not parked."""
    letters = await _letters(connection, [model])
    parked = {letter.key for letter in letters}
    for key in keys:
        if key not in parked:
            raise ReplayFailed(f"{model.name} has no dead letters for {key!r}")
    return [letter for letter in letters if not keys or letter.key in keys]


def _settle(
    model: ReadModel[Any],
    keys: Sequence[str],
    settle: Callable[[Connection, DeadLetter], Awaitable[Retried]],
    *,
    as_json: bool,
) -> None:
    """Do something about each parked key, in all versions, and tell what came of it."""

    async def work(connection: Connection) -> list[tuple[str, Retried]]:
        letters = await _letters_of(connection, model, keys)
        return [(letter.collection, await settle(connection, letter)) for letter in letters]

    found = connected(work)
    if as_json:
        out().print_json(data=[{"collection": name, **msgspec.to_builtins(item)} for name, item in found])
    else:
        for collection, item in found:
            error = f"; {item.parked:,} parked: {item.event_id}: {item.error}" if item.parked else ""
            out().print(
                f"{collection} {item.key}: {item.applied:,} events applied{error}",
                markup=False,
                soft_wrap=True,
            )
        if not found:
            out().print(f"{model.name} has no dead letters")
    if any(item.parked for _, item in found):
        raise typer.Exit(1)


def _events(events: Sequence[Delivered]) -> list[Mapping[str, Any]]:
    return [
        {
            "event_id": event.event_id,
            "name": event.name,
            "position": f"{event.context}:{event.position}",
            "time": instant(event.metadata.time),
            "actor": event.metadata.actor,
            # As it is: what is wrong with it may be its JSON.
            "data": event.data.decode(errors="replace"),
        }
        for event in events
    ]


def _print_letter(letter: DeadLetter, events: Sequence[Delivered], console: Console) -> None:
    console.print(f"{letter.collection} {letter.key}", markup=False, style="bold")
    console.print(f"{letter.event_id} could not be applied: {letter.error}", markup=False)
    if letter.trace:
        console.print(letter.trace, markup=False)
    table = Table("event", "", "position", "time", "by", "data")
    for event in _events(events):
        table.add_row(*(Text(str(event[name])) for name in event))
    console.print(table)


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
