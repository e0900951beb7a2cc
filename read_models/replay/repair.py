"""Repairs documents in place: each is folded anew from all its events, and replaced if it differs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any

import msgspec

from infra.event_log.client import LogClient
from infra.messages.event_headers import Delivered
from infra.messages.events import Checkpoint, key_of
from infra.mongo import Access, Mongo, Transaction, Write, deleting, replacing
from read_models.projection import checkpoints, dead_letters, losses
from read_models.projection.checkpoints import Place
from read_models.projection.dead_letter_audit import skipped_events
from read_models.projection.folding import Fold
from read_models.projection.model import ReadModel, Source
from read_models.queries.time_travel import CATEGORIES
from read_models.replay.errors import ReplayFailed
from read_models.replay.exclusive_access import intervene
from read_models.replay.selection import Selection
from read_models.replay.value_diff import Comparison

TOGETHER = 1_000
"""Documents of one transaction."""
SINGLY = 20
"""Documents of one batch up to which each one's streams are read, instead of their whole partitions."""
MOST_UNFIT = 100
"""Documents that could not be folded, told one by one; all are counted."""

Positions = Mapping[Place, int]


class Unfit(msgspec.Struct, frozen=True):
    """A document that was left as it is, because an event of it cannot be applied."""

    key: str
    event_id: str
    error: str


class Repair(msgspec.Struct, kw_only=True):
    """What a repair has done, or would do: documents before and after, and keys no longer parked."""

    model: str
    collection: str
    dry_run: bool
    matched: int
    documents: int
    read: int = 0
    comparison: Comparison = msgspec.field(default_factory=Comparison)
    freed: int = 0
    unfit: list[Unfit] = msgspec.field(default_factory=list)
    unfit_documents: int = 0
    absent: list[str] = msgspec.field(default_factory=list)
    """Keys that were named, of which there is no document and no event."""


async def repair(
    mongo: Mongo,
    log: LogClient,
    model: ReadModel[Any],
    collection: str,
    selection: Selection,
    *,
    dry_run: bool = False,
) -> Repair:
    """Repair the selected documents, so many in a transaction, while the projectors go on.

    Only documents that differ are written. Raises ReplayFailed, MongoUnavailable and ContextUnavailable; what
    was repaired by then stays, and the repair may be done again.
    """
    report = Repair(
        model=model.name,
        collection=collection,
        dry_run=dry_run,
        matched=selection.events,
        documents=len(selection.partitions),
    )
    skipped = await skipped_events(mongo, model.name)
    # By partition, so that one after the other is read.
    keys = sorted(selection.partitions, key=lambda key: (min(selection.partitions[key]), key))
    for begin in range(0, len(keys), TOGETHER):
        some = {key: selection.partitions[key] for key in keys[begin : begin + TOGETHER]}
        await _Batch(mongo, log, model, collection, some, skipped, report).run()
    return report


class _Batch:
    """Some documents, folded once up to the checkpoints and, while nobody writes them, the little since."""

    def __init__(
        self,
        mongo: Mongo,
        log: LogClient,
        model: ReadModel[Any],
        collection: str,
        keys: Mapping[str, Collection[int]],
        skipped: Collection[str],
        report: Repair,
    ) -> None:
        self._mongo = mongo
        self._log = log
        self._model = model
        self._collection = collection
        self._keys = keys
        self._skipped = skipped
        self._report = report
        self._fold = Fold(model, only=keys.keys())
        self._folded: dict[Place, int] = {}
        self._elsewhere: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """Compare, and write what differs."""
        async with self._mongo.transaction() as moment:
            positions = await checkpoints.positions(moment, self._collection, self._model.contexts)
            parked = await self._letters(moment)
            stored = moment.find_stored(self._collection, {"_id": {"$in": list(self._keys)}})
            before = {key: data async for key, data in stored}
        await self._read(positions, {partition for its in self._keys.values() for partition in its})
        after = self._fold.stored()
        fit = self._fit()
        self._report.absent += [
            key for key in fit if key not in before and key not in after and key not in parked
        ]
        for key in fit:
            self._report.comparison.add(key, before.get(key), after.get(key))
        wrong = {key for key in fit if key in parked or before.get(key) != after.get(key)}
        if self._report.dry_run:
            self._report.freed += len(wrong & parked)
        elif wrong:
            partitions = {partition for key in wrong for partition in self._keys[key]}
            places = [(context, partition) for context in self._model.contexts for partition in partitions]
            self._report.freed += await intervene(
                self._mongo, self._collection, places, lambda t, known: self._write(t, known, wrong)
            )
        self._tell_unfit()

    async def _write(
        self, transaction: Transaction, known: Mapping[Place, Checkpoint], wrong: Collection[str]
    ) -> int:
        """Put the documents in place as they are at the checkpoints of now; how many are no longer parked."""
        positions = {place: checkpoint.position for place, checkpoint in known.items()}
        if any(position < self._folded.get(place, 0) for place, position in positions.items()):
            raise ReplayFailed(f"the checkpoints of {self._collection} went back: is it another database?")
        elsewhere = self._elsewhere
        parked = await self._letters(transaction)
        if elsewhere - self._elsewhere:
            raise ReplayFailed(f"dead letters of {self._collection} were retried meanwhile; try again")
        await self._read(positions, {partition for _, partition in positions})
        after = self._fold.stored()
        fit = [key for key in self._fit() if key in wrong]
        writes: list[Write] = [replacing(key, after[key]) if key in after else deleting(key) for key in fit]
        await transaction.write(self._collection, writes)
        if any(key not in after for key in fit):
            await losses.documents_deleted(transaction, self._collection)
        freed = parked.intersection(fit)
        await dead_letters.forget(transaction, self._collection, freed)
        return len(freed)

    async def _letters(self, access: Access) -> set[str]:
        """Which of the keys are parked. Events parked elsewhere are not to be applied here."""
        letters = await dead_letters.parked_places(access, self._collection)
        if self._model.key is not None:
            self._elsewhere = {place for place, key in letters.items() if key not in self._keys}
        return self._keys.keys() & letters.values()

    async def _read(self, positions: Positions, partitions: Collection[int]) -> None:
        """Fold the events of these partitions up to these positions."""
        for source in self._model.sources:
            begins = {p: self._folded.get((source.context, p), 0) for p in partitions}
            ends = {p: positions.get((source.context, p), 0) for p in partitions}
            behind = [p for p in partitions if begins[p] < ends[p]]
            if not behind:
                continue
            last = max(ends[p] for p in behind)
            async for events in self._events(source, behind, min(begins[p] for p in behind), last):
                self._report.read += len(events)
                self._apply([e for e in events if begins[e.partition] < e.position <= ends[e.partition]])
            self._folded.update({(source.context, p): ends[p] for p in behind})

    async def _events(
        self, source: Source, partitions: Collection[int], after: int, last: int
    ) -> AsyncIterator[list[Delivered]]:
        """Pages of what may belong to the documents in these partitions, at least up to position `last`."""
        context, names = source.context, source.names
        categories = CATEGORIES.get(context)
        if self._model.key is None and categories is not None and len(self._keys) <= SINGLY:
            keys = [key for key, its in self._keys.items() if not set(partitions).isdisjoint(its)]
            for stream in (f"{category}-{key}" for key in keys for category in categories):
                async for events in self._log.read(context, after, stream=stream, names=names):
                    yield events
            return
        async for events in self._log.read(context, after, partitions=partitions, names=names):
            yield events
            if events[-1].position >= last:
                return

    def _apply(self, events: Iterable[Delivered]) -> None:
        wanted = [
            event
            for event in events
            if event.event_id not in self._skipped
            and (event.context, event.position) not in self._elsewhere
            # Decoding is most of the work.
            and (self._model.key is not None or key_of(event.stream) in self._keys)
        ]
        self._fold.add(wanted)
        for key, parked in self._fold.parked.items():
            # The stream of a keyed model: nobody knows any more which of its events are whose.
            if key not in self._keys:
                raise ReplayFailed(
                    f"{parked[0].event.event_id} cannot be read, so no document it may belong to can be "
                    f"repaired: {parked[0].error}"
                )

    def _fit(self) -> list[str]:
        return [key for key in self._keys if key not in self._fold.parked]

    def _tell_unfit(self) -> None:
        for key in self._keys:
            if key in self._fold.parked:
                first = self._fold.parked[key][0]
                self._report.unfit_documents += 1
                if len(self._report.unfit) < MOST_UNFIT:
                    self._report.unfit.append(Unfit(key, first.event.event_id, first.error or ""))
