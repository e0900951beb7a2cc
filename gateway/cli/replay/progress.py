"""Shows how far replays are: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from infra.aio import wait_for_event
from infra.mongo import Mongo, MongoUnavailable
from read_models.replay.state import Replay, State, find_replays

LOOK_SECONDS = 0.5
LINE_SECONDS = 5.0


def remaining(replay: Replay) -> str:
    """How long it will take at its speed: `0:42`."""
    behind = replay.total - replay.done
    if replay.state is not State.RUNNING or behind <= 0 or replay.speed <= 0:
        return ""
    minutes, seconds = divmod(round(behind / replay.speed), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def line_of(replay: Replay) -> str:
    """Such as `orders: 1,200/20,000 events, 9,800/s, 0:02 left, 18,800 behind`."""
    parts = [f"{replay.done:,}/{replay.total:,} events", f"{replay.speed:,.0f}/s"]
    if left := remaining(replay):
        parts.append(f"{left} left")
    parts.append(f"{replay.total - replay.done:,} behind")
    if replay.state is not State.RUNNING:
        parts.append(str(replay.state))
    if replay.yielding:
        parts.append(_yields(replay))
    if replay.problem:
        parts.append(f"waits: {replay.problem}")
    return f"{replay.model}: {', '.join(parts)}"


def _yields(replay: Replay) -> str:
    return f"yields to live read models ({replay.live_lag:.1f} s late)"


def _note(replay: Replay) -> str:
    if replay.problem:
        return replay.problem
    if replay.yielding:
        return _yields(replay)
    return f"{replay.total - replay.done:,} behind, {replay.state}"


async def show_progress(mongo: Mongo, names: Sequence[str], console: Console, ended: asyncio.Event) -> None:
    """Show these replays until `ended` is set."""
    if not console.is_terminal:
        await _watch(mongo, names, ended, _line_teller(console))
        return
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]:>10}", style="progress.data.speed"),
        TextColumn("{task.fields[left]:>8}", style="progress.remaining"),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        bars = {
            name: progress.add_task(name, total=None, speed="", left="", note="waiting") for name in names
        }

        def tell(replay: Replay) -> None:
            progress.update(
                bars[replay.model],
                completed=replay.done,
                total=replay.total or None,
                speed=f"{replay.speed:,.0f}/s",
                left=remaining(replay),
                note=_note(replay),
            )

        await _watch(mongo, names, ended, tell)


def _line_teller(console: Console) -> Callable[[Replay], None]:
    told_at: dict[str, float] = {}

    def tell(replay: Replay) -> None:
        if replay.state is State.WAITING and replay.model in told_at:
            return
        over = replay.state not in {State.WAITING, State.RUNNING, State.PAUSED}
        if over or time.monotonic() - told_at.get(replay.model, 0.0) >= LINE_SECONDS:
            told_at[replay.model] = time.monotonic()
            console.print(line_of(replay), highlight=False, markup=False, soft_wrap=True)

    return tell


async def _watch(
    mongo: Mongo, names: Sequence[str], ended: asyncio.Event, tell: Callable[[Replay], None]
) -> None:
    over = False
    while not over:
        over = ended.is_set()
        # Where MongoDB is away the worker says so in the end; until then there is nothing new to show.
        with contextlib.suppress(MongoUnavailable):
            replays = await find_replays(mongo)
            for name in names:
                if name in replays and (over or replays[name].attended):
                    tell(replays[name])
        await wait_for_event(ended, LOOK_SECONDS)
