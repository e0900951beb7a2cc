"""`replay publish`: have a context's log in JetStream again, and watch its relay fill it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from msgspec import UNSET, UnsetType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

from contexts import NAMES as CONTEXTS
from gateway.cli.replay.connection import Connection, connected, err, out
from read_models.replay.errors import ReplayFailed
from read_models.replay.republish import Publication, Published


def publish(
    context: Annotated[str, typer.Argument(help=f"Of {', '.join(sorted(CONTEXTS))}.", show_default=False)],
    *,
    anew: Annotated[
        bool, typer.Option("--anew", help="Delete the stream first: every event is published again.")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Events a second at most, until the log's end is reached.")
    ] = None,
    pause: Annotated[bool, typer.Option("--pause", help="Have the relay hold on.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Have the relay go on.")] = False,
    cancel: Annotated[
        bool,
        typer.Option(
            "--cancel",
            help="Undo --pause and --rate: what is published stays, the relay publishes the rest by itself, "
            "as fast as it goes.",
        ),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait: the relay works on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Refill JetStream from a context's store. The relay does it; run again, this shows how far it is.

    Status 1 if the stream has holes or another form than it should, which --anew mends.

    Pause and rate hold until they are undone, the log's end is reached, or another process leads the context.
    """
    if context not in CONTEXTS:
        raise ReplayFailed(f"unknown context {context!r}; choose one of {', '.join(sorted(CONTEXTS))}")
    if pause and (resume or anew):
        raise ReplayFailed("--pause goes with neither --resume nor --anew")
    if cancel and any((pause, resume, anew, rate, detach)):
        raise ReplayFailed("--cancel goes with no other option but --json")
    if cancel:
        _cancel(context, as_json=as_json)
    else:
        _publish(context, anew=anew, rate=rate, hold=_wish(pause, resume), detach=detach, as_json=as_json)


def _wish(pause: bool, resume: bool) -> bool | UnsetType:  # noqa: FBT001 - the two options
    return True if pause else False if resume else UNSET


def _publish(
    context: str, *, anew: bool, rate: float | None, hold: bool | UnsetType, detach: bool, as_json: bool
) -> None:

    async def work(connection: Connection) -> Published:
        publication = Publication(connection.nats, connection.log, context)
        found = await publication.look(paused=hold)
        if hold is True:
            return found
        if found.paused:
            raise ReplayFailed(f"publishing {context} is paused; --resume has it go on")
        if anew:
            await publication.begin_anew()
        if detach:
            return await publication.begin(rate or UNSET)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(show_speed=True),
            Remaining(),
        )
        with Progress(*columns, console=err(), disable=not err().is_terminal) as progress:
            task = progress.add_task(f"publishing {context}", total=None)
            return await publication.complete(
                rate or UNSET, lambda done, head: progress.update(task, completed=done, total=head)
            )

    published = connected(work)
    if as_json:
        out().print_json(data={**msgspec.to_builtins(published), "whole": published.whole})
    else:
        out().print(_sentence(published), highlight=False)
    if not anew:
        _tell_faults(published)


def _tell_faults(published: Published) -> None:
    """What only publishing anew mends; status 1."""
    holes = (
        f"{published.holes:,} messages are missing inside the stream (readers take them from the store); "
        "--anew publishes all of them again"
    )
    faults = [*([published.complaint] if published.complaint else []), *([holes] if published.holes else [])]
    for fault in faults:
        err().print(fault, highlight=False, markup=False, soft_wrap=True)
    if faults:
        raise typer.Exit(1)


def _cancel(context: str, *, as_json: bool) -> None:
    cancelled = connected(
        lambda connection: Publication(connection.nats, connection.log, context).cancel(),
    )
    published = cancelled.published
    if as_json:
        fields = {**msgspec.to_builtins(published), "whole": published.whole, "undone": cancelled.undone}
        out().print_json(data=fields)
        return
    limit = cancelled.was_limited_to
    undone = [
        *(["the pause"] if cancelled.was_paused else []),
        *([f"the limit of {limit:g} events a second"] if limit is not None else []),
    ]
    if not undone:
        told = f"nothing to cancel: nobody holds the publishing of {context} up"
    elif published.whole:
        told = f"cancelled: {' and '.join(undone)}"
    else:
        told = f"cancelled: {' and '.join(undone)}; the relay publishes the rest by itself"
    out().print(f"{told}. {_sentence(published)}", highlight=False, soft_wrap=True)


def _sentence(published: Published) -> str:
    where = f"{published.context}: position {published.position:,} of {published.head:,} is published"
    if published.paused:
        return f"{where}; paused"
    return where if not published.whole else f"{where}, {published.messages:,} events; the stream is whole"
