"""The projectors of one process: one for each version of its read models, as versions come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import structlog
from nats.aio.client import Client

from infra.aio import wait_for_event
from infra.event_log.subscription import LogReader
from infra.mongo import Mongo, MongoUnavailable
from read_models.projection.model import ReadModel
from read_models.projection.projector import Projector
from read_models.projection.versions import all_versions

LOOK_SECONDS = 0.5
"""How often to look which versions there are."""

log = structlog.get_logger(__name__)


def reader_name(collection: str) -> str:
    """What the reader of a collection's projector is called on JetStream: `rm-orders`, `rm-orders_v2`."""
    return f"rm-{collection.replace('@', '_v')}"


class Projectors:
    """Keeps every version of some read models up to date, in some partitions."""

    def __init__(
        self, nats: Client, mongo: Mongo, models: Sequence[ReadModel[Any]], partitions: Collection[int]
    ) -> None:
        self._nats = nats
        self._mongo = mongo
        self._models = {model.name: model for model in models}
        self._partitions = partitions
        self._running: dict[str, asyncio.Event] = {}

    async def run(self, ending: asyncio.Event) -> None:
        """Project until `ending` is set."""
        async with asyncio.TaskGroup() as group:
            try:
                while not ending.is_set():
                    await self._follow(group)
                    await wait_for_event(ending, LOOK_SECONDS)
            finally:
                for stopping in self._running.values():
                    stopping.set()

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        """Have the projectors at work that the versions there are want, and no others."""
        try:
            found = await all_versions(self._mongo, self._models)
        except MongoUnavailable as error:
            # Whether a version was added or dropped can wait; those that run go on by themselves.
            log.warning("versions unknown", reason=str(error))
            return
        wanted = {collection: name for name, item in found.items() for collection in item.versions}
        for collection in wanted.keys() - self._running.keys():
            self._running[collection] = asyncio.Event()
            model = self._models[wanted[collection]]
            group.create_task(self._project(model, collection), name=f"projector {collection}")
        for collection in self._running.keys() - wanted.keys():
            self._running[collection].set()

    async def _project(self, model: ReadModel[Any], collection: str) -> None:
        log.info("read models run", version=collection, partitions=list(self._partitions))
        reader = LogReader(self._nats, reader_name(collection), model.contexts, self._partitions)
        projector = Projector(self._mongo, reader, model, self._partitions, collection=collection)
        try:
            await projector.run(self._running[collection])
        finally:
            del self._running[collection]
