"""Fills a version of a read model: reads and folds the next events while those before them are written.

Only what is written together with its checkpoints counts. Events are folded before their transaction begins,
onto documents that are known or were read before: had anybody else changed one of them, that would have moved
a checkpoint too, and the transaction fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from infra.aio import cancel_all
from infra.event_log.subscription import Batch
from infra.mongo import Mongo
from read_models.projection import dead_letters, losses
from read_models.projection.folding import Folded, Outcome, Sorted, sort
from read_models.projection.model import D, ReadModel
from read_models.projection.projector import IDLE_SECONDS, EventReader, Projector
from read_models.replay.throttle import AdaptiveBatchSize

SLICE = 500
"""Events decoded or documents folded at a time: then answers that have arrived are attended to."""

T = TypeVar("T")


class Prepared(msgspec.Struct, Generic[D]):
    """Events, and what they make of the documents."""

    batch: Batch
    outcome: Outcome[D]


class Rebuilder(Projector[D]):
    """A projector of a version that nobody reads yet: it prepares one transaction while another is under way.

    What has been prepared is lost when something goes wrong, and done again from the stored checkpoints.
    """

    def __init__(
        self,
        mongo: Mongo,
        reader: EventReader,
        model: ReadModel[D],
        collection: str,
        batch_size: AdaptiveBatchSize,
    ) -> None:
        super().__init__(mongo, reader, model, collection=collection)
        self._batch_size = batch_size
        self._ahead: asyncio.Task[Prepared[D] | None] | None = None

    async def start(self) -> None:
        """Begin, or begin again, from the stored checkpoints."""
        await self.rest()
        await super().start()

    async def rest(self) -> None:
        """Read no more and drop what was prepared, until `start` is called again."""
        await cancel_all(self._ahead)
        self._ahead = None
        await self._reader.stop()

    async def close(self) -> None:
        await self.rest()
        await super().close()

    async def step(self) -> bool:
        """Write what was prepared, and prepare what comes then; whether there was anything."""
        prepared = await (self._ahead or self._prepare({}))
        self._ahead = None
        if prepared is None:
            return False
        self._ahead = asyncio.create_task(self._prepare(prepared.outcome.folded))
        begun = time.monotonic()
        await self._write(prepared)
        self._batch_size.took(len(prepared.batch.events), time.monotonic() - begun)
        await self._reader.done(prepared.batch)
        return True

    async def _prepare(self, before: Mapping[str, Folded[D]]) -> Prepared[D] | None:
        """The next events and what they make of the documents, of which those `before` are not stored yet."""
        batch = await self._reader.next(self._batch_size.events, IDLE_SECONDS)
        if batch is None:
            return None
        found = await self._decoded(batch)
        outcome = await self._folded(found, before)
        self._keep(outcome)
        return Prepared(batch, outcome)

    async def _decoded(self, batch: Batch) -> Sorted:
        found = Sorted({}, [])
        closed = set(self._parked)
        for events in _slices(self._wanted(batch)):
            some = sort(self._model, events, closed)
            for key, its in some.by_key.items():
                found.by_key.setdefault(key, []).extend(its)
            found.parked += some.parked
            closed.update(item.key for item in some.parked)
            await asyncio.sleep(0)
        return found

    async def _folded(self, found: Sorted, before: Mapping[str, Folded[D]]) -> Outcome[D]:
        known: dict[str, D] = {}
        folded: dict[str, Folded[D]] = {}
        parked = [*found.parked]
        for keys in _slices([*found.by_key]):
            documents, unfit = await self._documents(self._mongo, [key for key in keys if key not in before])
            for key in keys:
                if key in before and (document := before[key].document) is not None:
                    documents[key] = document
            some = self._fold(Sorted({key: found.by_key[key] for key in keys}, []), documents, unfit)
            known.update(some.known)
            folded.update(some.folded)
            parked += some.parked
            await asyncio.sleep(0)
        return Outcome(known, folded, parked)

    async def _write(self, prepared: Prepared[D]) -> None:
        inserts, writes = prepared.outcome.changes()
        assert self._session is not None
        async with self._session.transaction() as transaction:
            await self._advance(transaction, prepared.batch)
            for some in self._batch_size.commands(inserts):
                await transaction.insert(self._collection, some)
            for few in self._batch_size.commands(writes):
                await transaction.write(self._collection, few)
            if prepared.outcome.deletes:
                await losses.documents_deleted(transaction, self._collection)
            await dead_letters.keep(transaction, self._collection, prepared.outcome.parked)
        self._applied(prepared.batch, prepared.outcome)


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), SLICE):
        yield items[first : first + SLICE]
