"""`replay status`: the versions of every read model, how far each is behind, and the replays."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.replay.arguments import Names, models_of
from gateway.cli.replay.connection import Connection, connected, out
from gateway.cli.replay.listing import Column, print_rows
from gateway.cli.replay.progress import line_of
from read_models.monitoring.lag import lag
from read_models.projection import checkpoints
from read_models.projection.model import ReadModel
from read_models.projection.versions import Versions, all_versions
from read_models.registry import MODELS
from read_models.replay.state import UNDER_WAY, Replay, State, find_replays


class VersionStatus(msgspec.Struct, frozen=True):
    """A version that is kept up to date, and the events it has not applied yet."""

    collection: str
    role: str
    """live, previous or other."""
    behind: int


class ModelStatus(msgspec.Struct, frozen=True):
    """A read model's versions, and its last replay."""

    model: str
    versions: list[VersionStatus]
    replay: Replay | None
    attended: bool
    """Whether a worker is at the replay."""


def status(
    names: Names = None, *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show the versions of read models and the replays."""
    models = models_of(names, every=not names)

    async def run(connection: Connection) -> list[ModelStatus]:
        replays = await find_replays(connection.mongo)
        versions = await all_versions(connection.mongo, MODELS)
        return list(
            await asyncio.gather(
                *(_of(connection, model, versions[model.name], replays.get(model.name)) for model in models)
            )
        )

    found = connected(run)
    if as_json:
        out().print_json(data=msgspec.to_builtins(found))
    else:
        _show(found)


async def _of(
    connection: Connection, model: ReadModel[Any], versions: Versions, replay: Replay | None
) -> ModelStatus:
    behind = [await _behind(connection, model, collection) for collection in versions.versions]
    return ModelStatus(
        model.name,
        [
            VersionStatus(collection, _role(versions, collection), events)
            for collection, events in zip(versions.versions, behind, strict=True)
        ],
        replay,
        replay is not None and replay.attended,
    )


async def _behind(connection: Connection, model: ReadModel[Any], collection: str) -> int:
    known = await checkpoints.positions(connection.mongo, collection, model.contexts)
    lags = [await lag(connection.log, model.name, context, known) for context in model.contexts]
    return sum(item.events for found in lags for item in found)


def _role(versions: Versions, collection: str) -> str:
    if collection == versions.live:
        return "live"
    return "previous" if collection == versions.previous else "other"


def _show(found: list[ModelStatus]) -> None:
    rows = []
    for item in found:
        for version in item.versions:
            role = "" if version.role == "other" else version.role
            told = _told(item, version.collection)
            rows.append((item.model, version.collection, role, f"{version.behind:,}", told))
        if item.replay is not None and item.replay.state in UNDER_WAY:
            told = _told(item, item.replay.collection)
            rows.append((item.model, item.replay.collection, "half built", "", told))
    columns = (
        *(Column("read model"), Column("version"), Column("is")),
        *(Column("events behind", number=True), Column("replay", long=True)),
    )
    print_rows(out(), None, columns, rows)


def _told(item: ModelStatus, collection: str) -> str:
    replay = item.replay
    if replay is None or replay.collection != collection:
        return ""
    if replay.state not in UNDER_WAY:
        return str(replay.state)
    orphaned = replay.state is not State.FAILED and not item.attended
    line = line_of(replay).partition(": ")[2]
    return f"{line}; nobody works on it: `replay resume {replay.model}`" if orphaned else line
