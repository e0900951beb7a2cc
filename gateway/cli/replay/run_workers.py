"""Workers run from the command line: several replays in one process, with their progress, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from gateway.cli.replay.connection import Connection
from gateway.cli.replay.progress import show_progress
from infra.aio import cancel_all
from read_models.projection.model import ReadModel
from read_models.projection.versions import versions_of
from read_models.registry import MODELS
from read_models.replay.diff import compare
from read_models.replay.errors import ReplayFailed, ReplayInterrupted
from read_models.replay.observed_lag import ObservedLag
from read_models.replay.state import Replay, State, replay_of
from read_models.replay.switch import switch, was_begun
from read_models.replay.throttle import ConcurrencyLimit
from read_models.replay.worker import POLL_SECONDS, Worker

NICENESS = 5
"""A replay takes what the processes that answer clients leave of the processor."""


async def work(
    connection: Connection, models: Sequence[ReadModel[Any]], at_once: int, console: Console
) -> list[Replay]:
    """Work on the replays of these models, and switch where that was asked for.

    Raises ReplayFailed, and ReplayInterrupted.
    """
    os.nice(NICENESS)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    ended = asyncio.Event()
    showing = asyncio.create_task(
        show_progress(connection.mongo, [model.name for model in models], console, ended)
    )
    turns = ConcurrencyLimit(at_once)
    live = ObservedLag(connection.mongo, connection.log, list(MODELS.values()))
    watching = asyncio.create_task(live.watch())
    outcomes = await asyncio.gather(
        *(_one(connection, model, turns, live, stopping) for model in models), return_exceptions=True
    )
    ended.set()
    await cancel_all(watching)
    await showing
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failures:
        if not isinstance(failure, ReplayFailed):
            raise failure
    if failures:
        raise ReplayFailed("; ".join(map(str, failures)))
    if stopping.is_set():
        names = " ".join(model.name for model in models)
        raise ReplayInterrupted(f"interrupted; `replay resume {names}` goes on where it was")
    return [outcome for outcome in outcomes if isinstance(outcome, Replay)]


async def _one(
    connection: Connection,
    model: ReadModel[Any],
    turns: ConcurrencyLimit,
    live: ObservedLag,
    stopping: asyncio.Event,
) -> Replay:
    worker = Worker(
        connection.mongo,
        connection.log,
        model,
        retry_seconds=connection.settings.replay_patience,
        turns=turns,
        live=live,
    )
    # Which one's first answer from MongoDB comes first is chance.
    turns.ask(model.name)
    try:
        replay = await worker.run(stopping)
        if replay.state is State.READY and replay.switch:
            while not turns.ask(model.name):  # noqa: ASYNC110 - several may ask, one is let in
                await asyncio.sleep(POLL_SECONDS)
            await switch_if_clean(connection, model, replay)
    finally:
        turns.leave(model.name)
    return await replay_of(connection.mongo, model.name)


async def switch_if_clean(connection: Connection, model: ReadModel[Any], replay: Replay) -> None:
    """Let queries read the new version if nothing differs in it; raises ReplayFailed."""
    live = (await versions_of(connection.mongo, model.name)).live
    if await was_begun(connection.mongo, model, live):
        await _compare(connection, model, replay, live)
    await switch(connection.mongo, model)


async def _compare(connection: Connection, model: ReadModel[Any], replay: Replay, live: str) -> None:
    found = await compare(connection.mongo, connection.log, model, live, replay.collection)
    if not found.clean:
        raise ReplayFailed(
            f"{replay.collection} is ready, but {found.comparison.differences:,} documents differ from "
            f"{live}; `replay diff {model.name}` shows them, "
            f"`replay switch {model.name}` switches all the same"
        )
