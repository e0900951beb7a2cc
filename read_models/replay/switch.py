"""Makes queries read another version of a read model, as one change, and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from infra.event_store.errors import RESTORE_REMEDY
from infra.mongo import Mongo, Transaction
from read_models.projection import checkpoints
from read_models.projection.checkpoints import Place
from read_models.projection.losses import was_there
from read_models.projection.model import ReadModel, instant
from read_models.projection.versions import Versions, transact, versions_of, write_versions
from read_models.replay.errors import ReplayFailed
from read_models.replay.state import UNDER_WAY, State, find_replay, write_replay

CATCH_UP_SECONDS = 10.0
POLL_SECONDS = 0.02


async def switch(mongo: Mongo, model: ReadModel[Any], *, wait: float = CATCH_UP_SECONDS) -> Versions:
    """Let queries read the version that was replayed; raises ReplayFailed, and nothing has changed then."""
    replay = await find_replay(mongo, model.name)
    if replay is not None and replay.state in UNDER_WAY:
        raise ReplayFailed(
            f"{replay.collection} is not ready: its replay is {replay.state} "
            f"at {replay.done:,} of {replay.total:,} events"
        )
    if replay is None or replay.state is not State.READY:
        raise ReplayFailed(
            f"there is no new version of {model.name} to switch to; `replay start {model.name}` builds one, "
            f"`replay rollback {model.name}` goes back to the one before"
        )
    return await _make_live(mongo, model, replay.collection, wait)


async def rollback(mongo: Mongo, model: ReadModel[Any], *, wait: float = CATCH_UP_SECONDS) -> Versions:
    """Let queries read the version again that was live before; raises ReplayFailed."""
    previous = (await versions_of(mongo, model.name)).previous
    if previous is None:
        raise ReplayFailed(f"there is no version of {model.name} to go back to")
    return await _make_live(mongo, model, previous, wait)


async def was_begun(mongo: Mongo, model: ReadModel[Any], collection: str) -> bool:
    """Whether a version has ever applied an event."""
    return await was_there(mongo, collection) or bool(
        await checkpoints.positions(mongo, collection, model.contexts)
    )


async def _make_live(mongo: Mongo, model: ReadModel[Any], collection: str, wait: float) -> Versions:
    live = (await versions_of(mongo, model.name)).live
    begun = await was_begun(mongo, model, live)
    if begun:
        await _catch_up(mongo, model, collection, live, wait)

    async def work(transaction: Transaction) -> Versions:
        versions = await versions_of(transaction, model.name)
        if versions.live != live or collection not in versions.versions:
            raise ReplayFailed(f"the versions of {model.name} were changed meanwhile; look at them again")
        # What nobody has begun to build, such as a new model's first version, is nothing to go back to.
        kept = versions.versions if begun else tuple(name for name in versions.versions if name != live)
        switched = msgspec.structs.replace(
            versions,
            live=collection,
            previous=live if begun else None,
            versions=kept,
            switched_at=instant(datetime.now(UTC)),
        )
        await write_versions(transaction, switched)
        replay = await find_replay(transaction, model.name)
        if replay is not None and replay.collection == collection and replay.state is State.READY:
            await write_replay(transaction, msgspec.structs.replace(replay, state=State.SWITCHED))
        return switched

    return await transact(mongo, work)


async def _catch_up(mongo: Mongo, model: ReadModel[Any], collection: str, live: str, wait: float) -> None:
    """Return when a version has all that the live one had when asked; raises ReplayFailed."""
    wanted = await checkpoints.positions(mongo, live, model.contexts)
    deadline = time.monotonic() + wait
    while behind := _behind(wanted, await checkpoints.positions(mongo, collection, model.contexts)):
        if time.monotonic() > deadline:
            raise ReplayFailed(
                f"{collection} is behind {live} by about {behind:,} events after {wait:g} s; "
                "nothing was switched. `python -m read_models run` keeps it up to date: is it running? "
                f"If so, {live} may be ahead of a store restored from a backup: {RESTORE_REMEDY}"
            )
        await asyncio.sleep(POLL_SECONDS)


def _behind(wanted: Mapping[Place, int], known: Mapping[Place, int]) -> int:
    """How far the log goes on from where a version stands to where another stands, at least 1 if it does."""
    missing: dict[str, int] = {}
    for (context, partition), position in wanted.items():
        if known.get((context, partition), 0) < position:
            reached = max((at for (name, _), at in known.items() if name == context), default=0)
            missing[context] = max(missing.get(context, 1), position - reached)
    return sum(missing.values())
