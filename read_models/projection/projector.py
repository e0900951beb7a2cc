"""The projector of one read model: pull events, fold them, and write documents and checkpoints as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Generic, Protocol

import msgspec
import structlog

from contexts.wire_names import EVENTS
from infra.event_log.context_subscription import LogDiffers
from infra.event_log.server import ContextUnavailable, Delivered
from infra.event_log.subscription import Batch
from infra.event_log.unknown_events import UnknownEvents
from infra.messages.events import PARTITIONS, Checkpoint, CheckpointMoved
from infra.mongo import (
    Access,
    Mongo,
    MongoUnavailable,
    Session,
    Transaction,
    TransactionConflict,
)
from infra.nats.connection import NatsUnavailable
from infra.observability import tracing
from infra.observability.logging.setup import belonging
from infra.observability.metrics.instruments import ProjectorMeasures
from infra.retry import Backoff
from read_models.projection import checkpoints, dead_letters, losses
from read_models.projection.checkpoints import Place
from read_models.projection.dead_letter_audit import skipped_events
from read_models.projection.document_cache import DocumentCache
from read_models.projection.folding import Outcome, Parked, Sorted, fold, sort
from read_models.projection.losses import DocumentsLost
from read_models.projection.model import D, ReadModel, instant
from read_models.projection.sessions import ProjectorSessions

PULL = 500
"""Events taken from the reader at once."""
TOGETHER = 5_000
"""Events of one transaction when there is a backlog: a document changed by many of them is written once."""
TOGETHER_BYTES = 4 * 1024 * 1024
"""Bytes of events after which no more are added to a transaction."""
LONGEST_GATHERING = 0.03
"""Seconds; what was accepted must not wait for much longer than it takes to write it."""

IDLE_SECONDS = 0.5
"""How long to wait for events before looking whether to stop."""
CHECK_SECONDS = 2.0
"""How often to look whether the checkpoints are still ours: the database may be another, even when idle."""
BLOCKED_SECONDS = 3.0
"""How long another's transaction may block this one without any progress before it is taken for dead."""
REMEMBER_SECONDS = 5.0
"""How often to look whether documents or checkpoints were deleted by hand."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

log = structlog.get_logger(__name__)


class EventReader(Protocol):
    """Where a projector's events come from; `LogReader` says what its methods do."""

    async def start(self, checkpoints: Mapping[Place, Checkpoint]) -> None: ...

    async def next(self, limit: int, timeout: float | None) -> Batch | None: ...

    async def done(self, batch: Batch) -> None: ...

    async def stop(self) -> None: ...


class Projector(Generic[D]):
    """Keeps one collection of documents up to date with some partitions of its contexts' logs.

    Whatever goes wrong, the transaction is given up and the work goes on from the checkpoints that are stored
    then. A second projector of the same partitions finds them moved: it cannot apply an event twice.
    """

    def __init__(
        self,
        mongo: Mongo,
        reader: EventReader,
        model: ReadModel[D],
        partitions: Collection[int] = range(PARTITIONS),
        *,
        collection: str | None = None,
        pull: int = PULL,
    ) -> None:
        """`reader` reads the model's contexts and partitions; `collection` if not the model's name.

        `pull`: how many events are taken from the reader at once.
        """
        self._mongo = mongo
        self._reader = reader
        self._model = model
        self._collection = collection or model.name
        self._pull = pull
        self._places = [(context, partition) for context in model.contexts for partition in partitions]
        self._checkpoints: dict[Place, Checkpoint] = {}
        self._parked: set[str] = set()
        self._skipped: set[str] = set()
        self._cache: DocumentCache[D] = DocumentCache()
        self._sessions = ProjectorSessions(mongo, self._collection, partitions)
        self._session: Session | None = None
        self._freed = False
        self._blocked: float | None = None
        self._checked = 0.0
        self._remembered = 0.0
        self._lost = ""
        self._took = 0.0
        self._measures = ProjectorMeasures(model.name)
        self._unknown = UnknownEvents(
            model.name,
            EVENTS,
            f"upgrade the read models, then `orderfold replay start {model.name} --switch`",
        )
        self._log = log.bind(model=self._collection)
        self.events = 0
        """Events taken since the process started."""
        self.transactions = 0
        self.restarts = 0
        """How often it had to go on from the stored checkpoints."""

    @property
    def positions(self) -> Mapping[Place, int]:
        """How far its documents have come."""
        return {place: checkpoint.position for place, checkpoint in self._checkpoints.items()}

    async def run(self, stopping: asyncio.Event) -> None:
        """Project until `stopping` is set; returns after the batch under way."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        try:
            while not stopping.is_set():
                try:
                    await self.start()
                    while not stopping.is_set():
                        if await self.step():
                            backoff.reset()
                            self._blocked = None
                except CheckpointMoved as error:
                    self._blocked = None
                    self._log.info("projector continues from the stored checkpoints", reason=str(error))
                except TransactionConflict as error:
                    self._blocked = self._blocked or time.monotonic()
                    self._log.info("projector on standby", reason=str(error))
                except (MongoUnavailable, NatsUnavailable, ContextUnavailable, DocumentsLost) as error:
                    await self._wait(error)
                except LogDiffers as error:
                    self._log.error("read model is ahead of its store", reason=str(error))
                except Exception:  # noqa: BLE001 - logged; giving up would stop every other read model too
                    self._log.exception("projector restarts")
                else:
                    return
                self.restarts += 1
                await backoff.pause(stopping)
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop reading, and end the session."""
        await self._reader.stop()
        if self._session is None:
            return
        try:
            await self._sessions.leave(self._session)
        except MongoUnavailable as error:
            self._log.warning("session not closed", reason=str(error))

    async def _wait(self, error: Exception) -> None:
        if not isinstance(error, DocumentsLost):
            self._log.warning("projector waits", reason=str(error))
            return
        # Events would be applied twice, or to documents that lack those before them.
        await self._reader.stop()
        if str(error) != self._lost:
            self._lost = str(error)
            remedy = f"`orderfold replay start {self._model.name} --switch` builds it anew"
            self._log.error("projector blocked", reason=self._lost, remedy=remedy)

    async def _free(self) -> None:
        """End what dead projectors of these partitions left open, at first and when blocked for long."""
        if self._session is None:
            self._session = await self._mongo.open_session()
        blocked = self._blocked is not None and time.monotonic() - self._blocked >= BLOCKED_SECONDS
        if blocked or not self._freed:
            await self._sessions.end_others(self._session)
            self._freed = True
            self._blocked = None

    async def start(self) -> None:
        """Begin, or begin again, from the stored checkpoints."""
        await self._free()
        assert self._session is not None
        await self._sessions.enter(self._session)
        await self._mongo.ensure_indexes(self._collection, self._model.indexes)
        await self._mongo.ensure_indexes(dead_letters.DEAD_LETTERS, dead_letters.INDEXES)
        self._cache.clear()
        known = self._checkpoints
        self._checkpoints = await checkpoints.load(self._mongo, self._collection, self._places)
        if self._checkpoints != known:
            self._blocked = None  # whoever blocks, works
        await self._remember()
        # After the checkpoints, which are changed by whoever changes these.
        self._parked = await dead_letters.parked_keys(self._mongo, self._collection)
        self._skipped = await skipped_events(self._mongo, self._model.name)
        self._checked = time.monotonic()
        await self._reader.start(self._checkpoints)

    async def step(self) -> bool:
        """Apply what is there; whether anything was. After an error, `start` again."""
        batch = await self._next()
        if batch is not None:
            begun = time.monotonic()
            await self._apply(batch)
            self._took = time.monotonic() - begun
            self._measures.committed(batch.events, self._took)
            await self._reader.done(batch)
        if time.monotonic() - self._checked > CHECK_SECONDS:
            await self._check()
        return batch is not None

    async def _next(self) -> Batch | None:
        """What there is, and what comes while it is gathered: as long as the last transaction took.

        A transaction costs much the same for one event as for a hundred. A busy database makes transactions
        slow, and slow ones make larger batches, so that it is not kept busy by small ones.
        """
        batch = await self._reader.next(self._pull, IDLE_SECONDS)
        until = time.monotonic() + min(self._took, LONGEST_GATHERING)
        while (
            batch is not None and len(batch.events) <= TOGETHER - self._pull and _size(batch) < TOGETHER_BYTES
        ):
            more = await self._reader.next(self._pull, max(0.0, until - time.monotonic()))
            if more is None:
                break
            batch = Batch(
                batch.events + more.events,
                batch.checkpoints | more.checkpoints,
                batch.acknowledgements | more.acknowledgements,
            )
        return batch

    async def _check(self) -> None:
        stored = await checkpoints.load(self._mongo, self._collection, self._places)
        for place in self._places:
            if stored.get(place) != self._checkpoints.get(place):
                raise CheckpointMoved(self._collection, place)
        self._checked = time.monotonic()
        if self._checked - self._remembered > REMEMBER_SECONDS:
            await self._remember()

    async def _remember(self) -> None:
        await losses.remember(self._mongo, self._collection, self._model.contexts)
        self._remembered = time.monotonic()
        self._lost = ""

    async def _apply(self, batch: Batch) -> None:
        """One transaction: documents, dead letters and checkpoints."""
        found = sort(self._model, self._wanted(batch), self._parked)
        with tracing.projecting(self._collection, found.events()):
            outcome = await self._commit(batch, found)
        self._keep(outcome)
        self._applied(batch, outcome)

    async def _commit(self, batch: Batch, found: Sorted) -> Outcome[D]:
        assert self._session is not None
        async with self._session.transaction() as transaction:
            await self._advance(transaction, batch)
            outcome = self._fold(found, *await self._documents(transaction, found.by_key.keys()))
            inserts, writes = outcome.changes()
            await transaction.insert(self._collection, inserts)
            await transaction.write(self._collection, writes)
            if outcome.deletes:
                await losses.documents_deleted(transaction, self._collection)
            await dead_letters.keep(transaction, self._collection, outcome.parked)
        return outcome

    def _wanted(self, batch: Batch) -> Sequence[Delivered]:
        if not self._skipped:
            return batch.events
        return [event for event in batch.events if event.event_id not in self._skipped]

    async def _advance(self, transaction: Transaction, batch: Batch) -> None:
        """Move the checkpoints over the batch; raises CheckpointMoved if they are not where they were."""
        touched = {partition for _, partition in batch.checkpoints}
        # All contexts of a partition: another projector that applied another context's events to the same
        # document must be noticed too.
        places = [place for place in self._places if place[1] in touched]
        await checkpoints.confirm(transaction, self._collection, self._checkpoints, places)
        await checkpoints.move(
            transaction, self._collection, self._checkpoints, batch.checkpoints, _times(batch.events)
        )

    def _fold(
        self, found: Sorted, known: dict[str, D], unfit: Mapping[str, msgspec.ValidationError]
    ) -> Outcome[D]:
        folded = {
            key: fold(self._model, key, known.get(key), events)
            for key, events in found.by_key.items()
            if key not in unfit
        }
        parked = [
            *found.parked,
            *(item for key in unfit for item in _unfit(key, unfit[key], found.by_key[key])),
            *(item for result in folded.values() for item in result.parked),
        ]
        return Outcome(known, folded, parked)

    async def _documents(
        self, access: Access, keys: Collection[str]
    ) -> tuple[dict[str, D], dict[str, msgspec.ValidationError]]:
        """Documents as they are, and those of which the stored form is none the model knows."""
        known: dict[str, D] = {}
        unfit: dict[str, msgspec.ValidationError] = {}
        unread: list[str] = []
        for key in keys:
            document = self._cache.get(key)
            if document is None:
                unread.append(key)
            else:
                known[key] = document
        stored = await access.find(self._collection, {"_id": {"$in": unread}}) if unread else []
        for fields in stored:
            try:
                known[fields["_id"]] = self._model.loaded(fields)
            except msgspec.ValidationError as error:
                unfit[fields["_id"]] = error
        return known, unfit

    def _keep(self, outcome: Outcome[D]) -> None:
        """Remember what the next events are applied to."""
        for key, result in outcome.folded.items():
            self._cache.put(key, result.document, len(result.data or b""))
        self._parked.update(item.key for item in outcome.parked if item.error is not None)

    def _applied(self, batch: Batch, outcome: Outcome[D]) -> None:
        """Note what has been committed."""
        self._unknown.look(batch.events)
        self._checkpoints.update(batch.checkpoints)
        for item in outcome.parked:
            if item.error is not None:
                # What kind of error, and where; its text may quote the event or the document.
                self._log.error(
                    "document suspended after a projection error",
                    key=item.key,
                    fact=item.event.event_id,
                    error=item.error.partition(":")[0],
                    at=item.trace,
                    **belonging(item.event.data, item.event.metadata),
                )
        self.events += len(batch.events)
        self.transactions += 1


def _size(batch: Batch) -> int:
    return sum(len(event.data) for event in batch.events)


def _times(events: Sequence[Delivered]) -> dict[Place, str]:
    # Per place the last one stays.
    lasts = {(event.context, event.partition): event.metadata.time for event in events}
    return {place: instant(at) for place, at in lasts.items()}


def _unfit(
    key: str, error: msgspec.ValidationError, events: Sequence[tuple[Delivered, object]]
) -> list[Parked]:
    first, *others = (event for event, _ in events)
    reason = f"the stored document is none the model knows: {error}"
    return [Parked(key, first, reason), *(Parked(key, event) for event in others)]
