"""How far the read models are behind the contexts' logs: in events and in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from infra.event_log.server import LogClient
from infra.messages.events import PARTITIONS
from read_models.projection import checkpoints
from read_models.projection.documents import ReadModels
from read_models.registry import MODELS


class Lag(msgspec.Struct, frozen=True):
    """What of a partition of a log a model has not applied; `seconds`: age of the oldest such event."""

    model: str
    context: str
    partition: int
    events: int
    seconds: float


async def lag(models: ReadModels, log: LogClient, names: Sequence[str] = tuple(MODELS)) -> list[Lag]:
    """The lag of each model, context and partition; raises MongoUnavailable and ContextUnavailable."""
    found = await asyncio.gather(
        *(_of(models, log, name, context) for name in names for context in MODELS[name].contexts)
    )
    return [item for lags in found for item in lags]


async def _of(models: ReadModels, log: LogClient, name: str, context: str) -> list[Lag]:
    known = await checkpoints.positions(models.mongo, await models.live(name), (context,))
    behind = await log.behind(
        context, [known.get((context, partition), 0) for partition in range(PARTITIONS)]
    )
    now = datetime.now(UTC)
    return [
        Lag(
            name, context, partition, item.events, (now - item.oldest).total_seconds() if item.oldest else 0.0
        )
        for partition, item in enumerate(behind)
    ]
