"""`replay dead-letters`: events that read models or contexts could not take, and what is done about them."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from contexts import NAMES as CONTEXTS
from gateway.cli.replay.connection import Connection, connected, err, out
from gateway.cli.replay.dead_letter_sources import KeptBack, Letters, every_letters, letters_named
from gateway.cli.replay.listing import Column, print_rows
from infra.event_log.client import ContextUnavailable
from read_models.monitoring.verification import inbox_name
from read_models.projection.dead_letters import DeadLetterSummary
from read_models.registry import MODELS
from read_models.replay.dead_letter_retry import Retried
from read_models.replay.errors import STATUSES, ReplayFailed

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key = Annotated[str, typer.Argument(help="Key that is parked.", show_default=False)]
NAMES = f"Read model ({', '.join(MODELS)}) or context ({', '.join(map(inbox_name, sorted(CONTEXTS)))})."
Name = Annotated[str, typer.Argument(metavar="NAME", help=NAMES, show_default=False)]

app = typer.Typer(
    name="dead-letters",
    help="Events that read models or contexts could not take, and those behind them.",
    epilog=STATUSES,
)


@app.command(name="list", epilog=STATUSES)
def list_(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help=f"{NAMES} [default: all]", show_default=False),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """List the keys that are parked, in every version of read models and in the inboxes of contexts.

    Status 2 if a context does not tell.
    """
    asked = [letters_named(name) for name in names] if names else list(every_letters().values())
    told = connected(lambda connection: _told(connection, asked))
    letters = [letter for found in told if not isinstance(found, ContextUnavailable) for letter in found]
    silent = [found for found in told if isinstance(found, ContextUnavailable)]
    if as_json:
        out().print_json(data=msgspec.to_builtins(letters))
    elif letters:
        columns = (
            Column("where"),
            Column("key"),
            Column("event"),
            Column("type"),
            Column("error", long=True),
            Column("waiting behind", number=True),
            Column("since"),
        )
        rows = [
            (it.collection, it.key, it.event_id, it.name, it.error, f"{it.waiting:,}", it.parked_at)
            for it in letters
        ]
        print_rows(out(), "Dead letters", columns, rows)
    elif not silent:
        out().print("there are no dead letters")
    if silent:
        for error in silent:
            err().print(f"{error}; its dead letters are not known", highlight=False, soft_wrap=True)
        raise typer.Exit(2)


@app.command(epilog=STATUSES)
def show(name: Name, key: Key, *, as_json: Json = False) -> None:
    """Print a parked key's events, and why the first of them could not be taken."""
    asked = letters_named(name)

    async def find(connection: Connection) -> list[tuple[DeadLetterSummary, Sequence[KeptBack]]]:
        letters = await _letters_of(connection, asked, [key])
        return [(letter, await asked.events(connection, letter)) for letter in letters]

    found = connected(find)
    if as_json:
        data = [{**msgspec.to_builtins(a), "events": msgspec.to_builtins(b)} for a, b in found]
        out().print_json(data=data)
        return
    for letter, events in found:
        _print_letter(letter, events, out())


@app.command(epilog=STATUSES)
def retry(
    name: Name,
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys. [default: all that are parked]", show_default=False)
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Take parked events in order, with the code of now, and those that waited behind.

    A context takes them as if they were heard just now: the saga goes on with its orders. Status 1 if a key
    is still parked.
    """
    asked = letters_named(name)
    actor = _actor()
    _settle(
        asked, keys or [], lambda connection, letter: asked.retry(connection, letter, actor), as_json=as_json
    )


@app.command(epilog=STATUSES)
def skip(
    name: Name,
    key: Key,
    *,
    reason: Annotated[str, typer.Option(help="Why it is done without this event; kept.")],
    as_json: Json = False,
) -> None:
    """Do without the event that could not be taken, also in later rebuilds, and take those behind it.

    Status 1 if another one of them could not be taken either.
    """
    asked = letters_named(name)
    if not reason.strip():
        raise ReplayFailed("--reason: say why; it is kept")
    actor = _actor()
    _settle(
        asked,
        [key],
        lambda connection, letter: asked.skip(connection, letter, actor, reason),
        as_json=as_json,
    )


@app.command(epilog=STATUSES)
def audit(name: Name, *, as_json: Json = False) -> None:
    """Print what was retried and skipped, by whom, when and why."""
    asked = letters_named(name)
    entries = connected(asked.audit)
    if as_json:
        out().print_json(data=msgspec.to_builtins(entries))
        return
    if not entries:
        out().print(f"nothing was done about dead letters of {asked.name}")
        return
    columns = (
        *(Column("at"), Column("who"), Column("what"), Column("where"), Column("event")),
        *(Column("error", long=True), Column("reason", long=True)),
        *(Column("taken", number=True), Column("still parked", number=True)),
    )
    rows = [
        (
            *(it.at, it.actor, it.action, it.collection, it.event_id, it.error, it.reason or ""),
            *("" if count is None else f"{count:,}" for count in (it.applied, it.parked)),
        )
        for it in entries
    ]
    print_rows(out(), None, columns, rows)


async def _told(
    connection: Connection, asked: Sequence[Letters]
) -> list[list[DeadLetterSummary] | ContextUnavailable]:
    async def tell(letters: Letters) -> list[DeadLetterSummary] | ContextUnavailable:
        try:
            return await letters.all(connection)
        except ContextUnavailable as error:
            return error

    return list(await asyncio.gather(*map(tell, asked)))


async def _letters_of(connection: Connection, asked: Letters, keys: Sequence[str]) -> list[DeadLetterSummary]:
    """Of some keys, or of all if there are none; raises ReplayFailed if one of them is not parked."""
    letters = await asked.all(connection)
    parked = {letter.key for letter in letters}
    for key in keys:
        if key not in parked:
            raise ReplayFailed(f"{asked.name} has no dead letters for {key!r}")
    return [letter for letter in letters if not keys or letter.key in keys]


def _settle(
    asked: Letters,
    keys: Sequence[str],
    settle: Callable[[Connection, DeadLetterSummary], Awaitable[Retried]],
    *,
    as_json: bool,
) -> None:
    """Do something about each parked key, wherever it is parked, and tell what came of it."""

    async def work(connection: Connection) -> list[tuple[str, Retried]]:
        letters = await _letters_of(connection, asked, keys)
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
            out().print(f"{asked.name} has no dead letters")
    if any(item.parked for _, item in found):
        raise typer.Exit(1)


def _print_letter(letter: DeadLetterSummary, events: Sequence[KeptBack], console: Console) -> None:
    console.print(f"{letter.collection} {letter.key}", markup=False, style="bold")
    console.print(f"{letter.event_id} could not be taken: {letter.error}", markup=False)
    if letter.trace:
        console.print(letter.trace, markup=False)
    columns = (
        *(Column("event"), Column("type"), Column("position"), Column("time"), Column("by")),
        Column("data", long=True),
    )
    rows = [(it.event_id, it.name, it.position, it.time, it.actor, it.data) for it in events]
    print_rows(console, None, columns, rows)


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
