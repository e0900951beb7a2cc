"""`replay start` and `replay resume`: build a new version, here or detached from this terminal."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.replay.arguments import All, Names, models_of
from gateway.cli.replay.connection import Connection, connected, err, out
from gateway.cli.replay.run_workers import work
from read_models.projection.model import ReadModel
from read_models.replay.errors import ReplayFailed
from read_models.replay.start import begin
from read_models.replay.state import UNDER_WAY, Replay, State, change_replay, find_replays, replay_of

BEGIN_SECONDS = 20.0
"""How long a detached worker may take to begin."""
POLL_SECONDS = 0.1

Detach = Annotated[
    bool, typer.Option("--detach", help="Work on after this command has ended; `replay status` tells.")
]
Rate = Annotated[
    float | None, typer.Option("--rate", min=0.1, help="Events a second at most. [default: no limit]")
]
AtOnce = Annotated[
    int, typer.Option("--at-once", min=1, help="Read models built at the same time; the others wait.")
]
YieldAbove = Annotated[
    float,
    typer.Option(
        "--yield-above",
        min=0,
        metavar="SECONDS",
        help="Pause while a live read model is later than that; 0: never.",
    ),
]
YIELD_ABOVE = 2.0


def start(
    names: Names = None,
    *,
    every: All = False,
    rate: Rate = None,
    switch: Annotated[
        bool, typer.Option("--switch", help="Switch when it is ready, if nothing differs.")
    ] = False,
    at_once: AtOnce = 1,
    yield_above: YieldAbove = YIELD_ABOVE,
    detach: Detach = False,
) -> None:
    """Build a new version of read models from the contexts' stores, beside the live ones."""
    models = models_of(names, every=every)

    async def run(connection: Connection) -> list[Replay]:
        await begin(
            connection.mongo,
            models,
            limit=rate,
            switch=switch,
            yield_above=yield_above or None,
        )
        return await _carry_out(connection, models, at_once, detach=detach)

    _tell(connected(run))


def resume(
    names: Names = None,
    *,
    every: All = False,
    rate: Rate = None,
    at_once: AtOnce = 1,
    yield_above: Annotated[
        float | None,
        typer.Option("--yield-above", min=0, metavar="SECONDS", help="As for `start`. [default: as before]"),
    ] = None,
    detach: Detach = False,
) -> None:
    """Go on with replays that were paused, interrupted or failed; --all: with those there are."""
    chosen = models_of(names, every=every)

    async def run(connection: Connection) -> list[Replay]:
        models = await _under_way(connection, chosen) if every else chosen
        replays = [await _resume(connection, model.name, rate, yield_above) for model in models]
        orphaned = [model for model, replay in zip(models, replays, strict=True) if not replay.attended]
        if orphaned:
            await _carry_out(connection, orphaned, at_once, detach=detach)
        return [await replay_of(connection.mongo, model.name) for model in models]

    _tell(connected(run))


def attend(names: list[str], *, at_once: AtOnce = 1) -> None:
    """Work on replays that were begun; what --detach starts."""
    connected(lambda connection: work(connection, models_of(names, every=False), at_once, err()))


async def _under_way(connection: Connection, models: Sequence[ReadModel[Any]]) -> list[ReadModel[Any]]:
    replays = await find_replays(connection.mongo)
    found = [item for item in models if item.name in replays and replays[item.name].state in UNDER_WAY]
    if not found:
        raise ReplayFailed("no replay is under way: nothing to resume")
    return found


async def _resume(connection: Connection, name: str, rate: float | None, yield_above: float | None) -> Replay:
    def change(replay: Replay) -> Replay:
        if replay.state not in UNDER_WAY:
            raise ReplayFailed(f"the replay of {name} is {replay.state}: nothing to resume")
        return msgspec.structs.replace(
            replay,
            state=State.RUNNING if replay.state is State.RUNNING else State.WAITING,
            limit=rate or replay.limit,
            yield_above=replay.yield_above if yield_above is None else yield_above or None,
            ended_at=None,
        )

    replay = seen = await change_replay(connection.mongo, name, change)
    # A worker that was killed elsewhere seems to be there until its lease ends.
    while replay.attended and replay.heartbeat == seen.heartbeat:
        await asyncio.sleep(POLL_SECONDS)
        replay = await replay_of(connection.mongo, name)
    return replay


async def _carry_out(
    connection: Connection, models: Sequence[ReadModel[Any]], at_once: int, *, detach: bool
) -> list[Replay]:
    if not detach:
        return await work(connection, models, at_once, err())
    names = [model.name for model in models]
    log = connection.settings.data / "logs" / f"replay-{'-'.join(names)}.log"
    process = _detached(names, at_once, log)
    deadline = time.monotonic() + BEGIN_SECONDS
    while True:
        replays = await find_replays(connection.mongo)
        if any(replays[name].attended or replays[name].ended_at for name in names):
            return [replays[name] for name in names]
        if process.poll() is not None or time.monotonic() > deadline:
            raise ReplayFailed(f"the detached worker did not begin; {log} says why")
        await asyncio.sleep(POLL_SECONDS)


def _detached(names: Sequence[str], at_once: int, log: Path) -> subprocess.Popen[bytes]:
    """A worker in a session of its own: it outlives this command and its terminal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as written:
        return subprocess.Popen(  # noqa: S603 - names of read models
            [sys.executable, "-m", "orderfold", "replay", "attend", f"--at-once={at_once}", *names],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )


def _tell(replays: Sequence[Replay]) -> None:
    console = out()
    for replay in replays:
        console.print(_next_step(replay), highlight=False, markup=False, soft_wrap=True)


def _next_step(replay: Replay) -> str:
    model = replay.model
    match replay.state:
        case State.SWITCHED:
            return f"queries of {model} read {replay.collection} now"
        case State.READY:
            return (
                f"{replay.collection} is ready: `replay diff {model}` compares it with the live version, "
                f"`replay switch {model}` makes queries read it"
            )
        case State.WAITING:
            return f"{replay.collection} is being built in its turn; `replay status` tells how far it is"
        case State.RUNNING:
            return f"{replay.collection} is being built; `replay status` tells how far it is"
        case _:
            return f"the replay of {model} is {replay.state}"
