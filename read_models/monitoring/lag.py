"""How far a reader's checkpoints are behind the contexts' logs, or ahead of a store that was restored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from infra.event_log.client import ContextUnavailable, LogClient
from infra.event_store.errors import RESTORE_REMEDY
from infra.messages.events import PARTITIONS
from read_models.projection import checkpoints
from read_models.projection.checkpoints import Place
from read_models.projection.documents import ReadModels
from read_models.registry import MODELS

ANSWER_SECONDS = 1.5
"""How long a context may take to say what lies after a model's checkpoints."""

Heads = Mapping[str, Sequence[int]]
"""Context → the last position of each of its partitions."""


class Lag(msgspec.Struct, frozen=True):
    """What of a partition of a log a model has not applied; `seconds`: age of the oldest such event."""

    model: str
    context: str
    partition: int
    events: int
    seconds: float


class Ahead(msgspec.Struct, frozen=True):
    """A reader that has read a partition up to `position`, where its context's store ends at `head`."""

    reader: str
    context: str
    partition: int
    position: int
    head: int

    def __str__(self) -> str:
        return (
            f"{self.reader} is ahead of {self.context}: it has read partition {self.partition} up to "
            f"position {self.position:,}, the store ends at {self.head:,}, restored from an older backup: "
            f"{RESTORE_REMEDY}"
        )


def behind(positions: Mapping[Place, int], heads: Heads) -> list[Place]:
    """The partitions whose log goes on after these positions."""
    return [
        (context, partition)
        for context, ends in heads.items()
        for partition, head in enumerate(ends)
        if positions.get((context, partition), 0) < head
    ]


def ahead(reader: str, positions: Mapping[Place, int], heads: Heads) -> list[Ahead]:
    """Where a reader's positions are beyond heads that were asked for after them."""
    return [
        Ahead(reader, context, partition, position, heads[context][partition])
        for (context, partition), position in sorted(positions.items())
        if context in heads and position > heads[context][partition]
    ]


async def live_lag(models: ReadModels, log: LogClient, name: str) -> dict[str, list[Lag] | None]:
    """How far the version that queries read is behind each context; None for a context that does not answer.

    Only partitions that are behind are listed. Raises MongoUnavailable.
    """
    contexts = MODELS[name].contexts
    positions = await checkpoints.positions(models.mongo, await models.live(name), contexts)
    found = await asyncio.gather(*(_in_time(log, name, context, positions) for context in contexts))
    return dict(zip(contexts, found, strict=True))


async def lag(log: LogClient, name: str, context: str, positions: Mapping[Place, int]) -> list[Lag]:
    """The partitions of a context in which a model with these positions is behind.

    Raises ContextUnavailable.
    """
    answer = await log.behind(context, [positions.get((context, p), 0) for p in range(PARTITIONS)])
    now = datetime.now(UTC)
    return [
        # Two machines' clocks may differ.
        Lag(name, context, partition, item.events, max(0.0, (now - item.oldest).total_seconds()))
        for partition, item in enumerate(answer)
        if item.oldest is not None
    ]


async def live_ahead(models: ReadModels, log: LogClient, name: str) -> list[Ahead]:
    """Where the version that queries read is ahead; raises MongoUnavailable and ContextUnavailable."""
    collection = await models.live(name)
    known = await checkpoints.positions(models.mongo, collection, MODELS[name].contexts)
    return ahead(collection, known, await log.all_heads(MODELS[name].contexts))


async def _in_time(
    log: LogClient, name: str, context: str, positions: Mapping[Place, int]
) -> list[Lag] | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await lag(log, name, context, positions)
    except (ContextUnavailable, TimeoutError):
        return None
