"""Read models that have read more than there is: their contexts' stores were restored from a backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from infra.event_log.server import LogClient
from infra.event_store.errors import RESTORE_REMEDY
from read_models.projection import checkpoints
from read_models.projection.checkpoints import Place
from read_models.projection.documents import ReadModels
from read_models.registry import MODELS


class Ahead(msgspec.Struct, frozen=True):
    """A collection that has read a partition up to `position`, where its context's store ends at `head`."""

    collection: str
    context: str
    partition: int
    position: int
    head: int

    def __str__(self) -> str:
        return (
            f"{self.collection} is ahead of {self.context}: it has read partition {self.partition} up to "
            f"position {self.position:,}, the store ends at {self.head:,}, restored from an older backup: "
            f"{RESTORE_REMEDY}"
        )


def ahead(collection: str, positions: Mapping[Place, int], heads: Mapping[str, Sequence[int]]) -> list[Ahead]:
    """Where a collection's positions are beyond heads that were asked for after them."""
    return [
        Ahead(collection, context, partition, position, heads[context][partition])
        for (context, partition), position in sorted(positions.items())
        if context in heads and position > heads[context][partition]
    ]


async def models_ahead(models: ReadModels, log: LogClient, name: str) -> list[Ahead]:
    """Where a model's live version is ahead; raises MongoUnavailable and ContextUnavailable."""
    live = await models.live(name)
    known = await checkpoints.positions(models.mongo, live, MODELS[name].contexts)
    return ahead(live, known, await log.all_heads(MODELS[name].contexts))
