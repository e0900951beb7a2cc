"""Deletes a version of a read model that queries do not read any more."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import msgspec
from nats.aio.client import Client

from infra.mongo import Mongo, Transaction
from infra.nats.jetstream import JetStreamRefused, delete_consumers, stream_name
from read_models.projection.documents import REFRESH_SECONDS
from read_models.projection.model import ReadModel
from read_models.projection.versions import Versions, transact, versions_of, write_versions
from read_models.replay.erase import erase
from read_models.replay.errors import ReplayFailed
from read_models.replay.state import UNDER_WAY, State, find_replay, write_replay
from read_models.workers.supervisor import reader_name

UNREAD_SECONDS = 3 * REFRESH_SECONDS
"""So long after a switch nobody reads the version any more that was live before."""


async def drop(
    nats: Client, mongo: Mongo, model: ReadModel[Any], collection: str | None, *, previous_too: bool
) -> str:
    """Delete a version, by default the one that is not live; raises ReplayFailed. Which one it was."""

    async def work(transaction: Transaction) -> tuple[Versions, str]:
        versions = await versions_of(transaction, model.name)
        chosen = collection or _only_other(versions)
        replay = await find_replay(transaction, model.name)
        if replay is not None and replay.collection == chosen and replay.state in UNDER_WAY:
            raise ReplayFailed(
                f"{chosen} is half built (its replay is {replay.state}); "
                f"`replay cancel {model.name}` gives it up and deletes it"
            )
        _refuse(versions, chosen, previous_too=previous_too)
        left = msgspec.structs.replace(
            versions,
            previous=None if versions.previous == chosen else versions.previous,
            versions=tuple(name for name in versions.versions if name != chosen),
        )
        await write_versions(transaction, left)
        if replay is not None and replay.collection == chosen:
            await write_replay(transaction, msgspec.structs.replace(replay, state=State.DROPPED))
        return versions, chosen

    versions, chosen = await transact(mongo, work)
    if versions.previous == chosen and versions.switched_at is not None:
        switched = datetime.fromisoformat(versions.switched_at)
        await asyncio.sleep(max(0.0, UNREAD_SECONDS - (datetime.now(UTC) - switched).total_seconds()))
    await erase(mongo, chosen)
    for context in model.contexts:
        # Without its consumers nothing is lost; with them JetStream would only show a lag nobody has.
        with contextlib.suppress(JetStreamRefused):
            await delete_consumers(nats, stream_name(context), reader_name(chosen))
    return chosen


def _only_other(versions: Versions) -> str:
    others = [name for name in versions.versions if name != versions.live]
    match others:
        case [other]:
            return other
        case []:
            raise ReplayFailed(f"{versions.live} is the only version of {versions.model}")
        case _:
            raise ReplayFailed(f"there are {', '.join(others)}: name the one to drop")


def _refuse(versions: Versions, chosen: str, *, previous_too: bool) -> None:
    if chosen not in versions.versions:
        raise ReplayFailed(
            f"unknown version {chosen} of {versions.model}; choose one of {', '.join(versions.versions)}"
        )
    if chosen == versions.live:
        raise ReplayFailed(f"{chosen} is live: queries read it")
    if chosen == versions.previous and not previous_too:
        raise ReplayFailed(
            f"{chosen} is what `replay rollback {versions.model}` would go back to; "
            f"`replay drop {versions.model} --yes` deletes it all the same"
        )
