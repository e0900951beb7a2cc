"""Begins replays: a new version of each read model, empty, and the record of the replay that fills it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from infra.mongo import Mongo, Transaction
from read_models.projection.model import ReadModel
from read_models.projection.versions import transact, versions_of, write_versions
from read_models.replay.erase import erase
from read_models.replay.errors import ReplayFailed
from read_models.replay.state import Replay, State, find_replay, write_replay


async def begin(
    mongo: Mongo,
    models: Sequence[ReadModel[Any]],
    *,
    limit: float | None,
    switch: bool,
    yield_above: float | None = None,
) -> list[Replay]:
    """Begin a replay of each of these read models, or of none; raises ReplayFailed."""
    wanted = {"limit": limit, "switch": switch, "yield_above": yield_above}

    async def work(transaction: Transaction) -> list[Replay]:
        return [await _begin(transaction, model.name, wanted) for model in models]

    replays = await transact(mongo, work)
    for replay in replays:
        # After its database was wiped a version's name may come again while something of it is left.
        await erase(mongo, replay.collection)
    return replays


async def _begin(transaction: Transaction, model: str, wanted: Mapping[str, Any]) -> Replay:
    before = await find_replay(transaction, model)
    if before is not None:
        _refuse_second(before)
    versions = await versions_of(transaction, model)
    await write_versions(transaction, msgspec.structs.replace(versions, next=versions.next + 1))
    replay = Replay(
        model=model,
        collection=f"{model}@{versions.next}",
        state=State.WAITING,
        started_at=time.time(),
        **wanted,
    )
    await write_replay(transaction, replay)
    return replay


def _refuse_second(before: Replay) -> None:
    model = before.model
    match before.state:
        case State.WAITING | State.RUNNING | State.PAUSED if before.attended:
            raise ReplayFailed(
                f"{model} is being replayed into {before.collection} already ({before.state}); "
                f"`replay status` shows how far it is, `replay cancel {model}` gives it up"
            )
        case State.WAITING | State.RUNNING | State.PAUSED | State.FAILED:
            raise ReplayFailed(
                f"a replay of {model} stopped half-way; `replay resume {model}` goes on where it was, "
                f"`replay cancel {model}` gives it up"
            )
        case State.READY:
            raise ReplayFailed(
                f"{before.collection} is ready; `replay switch {model}` makes queries read it, "
                f"`replay drop {model}` deletes it"
            )
        case _:
            return
