"""`replay publish`: have a context's log in JetStream again, and watch its relay fill it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from msgspec import UNSET
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

from read_models.replay.cli.connection import Connection, connected, err, out
from read_models.replay.failure import ReplayFailed
from read_models.replay.publishing import Publication, Published
from read_models.time_travel import CONTEXTS


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
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait: the relay works on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Refill JetStream from a context's store. The relay does it; run again, this shows how far it is."""
    if context not in CONTEXTS:
        raise ReplayFailed(f"{context!r} is no context; there are {', '.join(sorted(CONTEXTS))}")
    if pause and (resume or anew):
        raise ReplayFailed("--pause goes with neither --resume nor --anew")

    async def work(connection: Connection) -> Published:
        publication = Publication(connection.nats, connection.log, context)
        found = await publication.look(paused=True if pause else False if resume else UNSET)
        if pause:
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
    if published.holes and not anew:
        raise ReplayFailed(
            f"{published.holes:,} messages are missing inside the stream (readers take them from the store); "
            "--anew publishes all of them again"
        )


def _sentence(published: Published) -> str:
    where = f"{published.context}: position {published.position:,} of {published.head:,} is published"
    if published.paused:
        return f"{where}; paused"
    return where if not published.whole else f"{where}, {published.messages:,} events; the stream is whole"
