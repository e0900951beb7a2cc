"""`replay pause`, `rate` and `cancel`: what a worker, wherever it runs, receives within half a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from gateway.cli.replay.arguments import Name, model_of
from gateway.cli.replay.connection import Connection, connected, out
from read_models.replay.erase import erase
from read_models.replay.errors import ReplayFailed
from read_models.replay.state import UNDER_WAY, Replay, State, change_replay, replay_of

POLL_SECONDS = 0.1


def pause(name: Name) -> None:
    """Stop a replay for now; `resume` goes on with it."""

    def change(replay: Replay) -> Replay:
        if replay.state not in {State.WAITING, State.RUNNING}:
            raise ReplayFailed(f"the replay of {name} is {replay.state}, so it cannot be paused")
        return msgspec.structs.replace(replay, state=State.PAUSED)

    _change(name, change)
    out().print(f"the replay of {name} is paused; `replay resume {name}` goes on", highlight=False)


def rate(
    name: Name,
    events: Annotated[float, typer.Argument(min=0, help="Events a second at most; 0: no limit.")],
) -> None:
    """Let a replay go faster or slower from now on."""

    def change(replay: Replay) -> Replay:
        if replay.state not in UNDER_WAY:
            raise ReplayFailed(f"the replay of {name} is {replay.state}: it has no rate")
        return msgspec.structs.replace(replay, limit=events or None)

    _change(name, change)


def cancel(name: Name) -> None:
    """Give a replay up, and delete what it has built."""
    model_of(name)

    def change(replay: Replay) -> Replay:
        if replay.state not in UNDER_WAY:
            raise ReplayFailed(
                f"the replay of {name} is {replay.state}, so it cannot be cancelled; "
                f"`replay drop {name}` deletes a version that is ready"
            )
        return msgspec.structs.replace(replay, state=State.CANCELLED, ended_at=time.time())

    async def run(connection: Connection) -> None:
        replay = await change_replay(connection.mongo, name, change)
        while (await replay_of(connection.mongo, name)).attended:  # noqa: ASYNC110 - the worker is elsewhere
            await asyncio.sleep(POLL_SECONDS)
        # Nobody else ever worked on a version that was not ready.
        await erase(connection.mongo, replay.collection, within=0)

    connected(run)
    out().print(f"the replay of {name} is cancelled", highlight=False)


def _change(name: str, change: Callable[[Replay], Replay]) -> None:
    model_of(name)
    connected(lambda connection: change_replay(connection.mongo, name, change))
