"""Gives parked keys another try: their events in order, with the projection and upcasters of now."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from infra.messages.event_headers import Delivered
from infra.messages.events import Checkpoint
from infra.mongo import Mongo, Transaction, Write, deleting, replacing
from read_models.projection import dead_letter_audit, dead_letters, losses
from read_models.projection.dead_letter_audit import RETRY, SKIP, AuditEntry
from read_models.projection.dead_letters import DeadLetterSummary
from read_models.projection.folding import Folded, Parked, fold, sort
from read_models.projection.model import ReadModel, instant
from read_models.replay.errors import ReplayFailed
from read_models.replay.exclusive_access import intervene


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a key: events in documents since, and those that wait still; `error`: what for."""

    key: str
    event_id: str
    applied: int
    parked: int
    error: str | None = None


async def retry(
    mongo: Mongo, model: ReadModel[Any], collection: str, letter: DeadLetterSummary, actor: str
) -> Retried:
    """Apply a parked key's events, then those that waited behind; audited.

    Raises ReplayFailed if the key is not parked any more, and MongoUnavailable.
    """
    return await _Attempt(mongo, model, collection, letter, actor, None).run()


async def skip(
    mongo: Mongo, model: ReadModel[Any], collection: str, letter: DeadLetterSummary, actor: str, reason: str
) -> Retried:
    """Do without the event that cannot be applied, in this and every later version, and go on behind it."""
    return await _Attempt(mongo, model, collection, letter, actor, reason).run()


class _Attempt:
    """One key's next try, in one transaction."""

    def __init__(
        self,
        mongo: Mongo,
        model: ReadModel[Any],
        collection: str,
        letter: DeadLetterSummary,
        actor: str,
        reason: str | None,
    ) -> None:
        self._mongo = mongo
        self._model = model
        self._collection = collection
        self._letter = letter
        self._actor = actor
        self._reason = reason
        self._id = uuid.uuid4().hex

    async def run(self) -> Retried:
        waiting = await dead_letters.parked_events(self._mongo, self._collection, self._letter.key)
        # The documents of a key are kept per partition.
        places = [
            (context, partition)
            for context in self._model.contexts
            for partition in {event.partition for event in waiting}
        ]
        if not places:
            raise self._gone()
        await self._mongo.ensure_indexes(dead_letter_audit.AUDIT, dead_letter_audit.INDEXES)
        return await intervene(self._mongo, self._collection, places, self._apply)

    async def _apply(self, transaction: Transaction, _: Mapping[Any, Checkpoint]) -> Retried:
        key = self._letter.key
        events = await dead_letters.parked_events(transaction, self._collection, key)
        if self._letter.event_id not in {event.event_id for event in events}:
            raise self._gone()
        skipped = await dead_letter_audit.skipped_events(transaction, self._model.name)
        if self._reason is not None:
            skipped.add(self._letter.event_id)
        others = await dead_letters.parked_keys(transaction, self._collection) - {key}
        parked = await self._fold(
            transaction, [event for event in events if event.event_id not in skipped], others
        )
        await dead_letters.forget(transaction, self._collection, [key])
        await dead_letters.keep(transaction, self._collection, parked)
        left = len(parked)
        applied = len([event for event in events if event.event_id not in skipped]) - left
        failed = next((item for item in parked if item.error is not None), None)
        await dead_letter_audit.record(transaction, [self._entry(applied, left)])
        return Retried(
            key=key,
            event_id=failed.event.event_id if failed else self._letter.event_id,
            applied=applied,
            parked=left,
            error=failed.error if failed else None,
        )

    async def _fold(
        self, transaction: Transaction, events: Sequence[Delivered], others: set[str]
    ) -> list[Parked]:
        """Write what the events make of their documents; what still cannot be applied."""
        found = sort(self._model, events, others)
        stored = await transaction.find(self._collection, {"_id": {"$in": list(found.by_key)}})
        known = {fields["_id"]: fields for fields in stored}
        parked = list(found.parked)
        writes: list[Write] = []
        for key, its in found.by_key.items():
            try:
                document = self._model.loaded(known[key]) if key in known else None
            except msgspec.ValidationError as error:
                parked += self._unfit(key, [event for event, _ in its], error)
                continue
            folded: Folded[Any] = fold(self._model, key, document, its)
            parked += folded.parked
            if folded.data is not None:
                writes.append(replacing(key, folded.data))
            elif key in known:
                writes.append(deleting(key))
                await losses.documents_deleted(transaction, self._collection)
        await transaction.write(self._collection, writes)
        return parked

    def _unfit(self, key: str, events: Sequence[Delivered], error: msgspec.ValidationError) -> list[Parked]:
        advice = f"`replay repair {self._model.name} --key {key}` folds it anew"
        reason = f"the stored document is none the model knows: {error}; {advice}"
        return [Parked(key, events[0], reason), *(Parked(key, event) for event in events[1:])]

    def _entry(self, applied: int, parked: int) -> AuditEntry:
        return AuditEntry(
            id=self._id,
            at=instant(datetime.now(UTC)),
            actor=self._actor,
            action=RETRY if self._reason is None else SKIP,
            model=self._model.name,
            collection=self._collection,
            key=self._letter.key,
            event_id=self._letter.event_id,
            error=self._letter.error,
            reason=self._reason,
            applied=applied,
            parked=parked,
        )

    def _gone(self) -> ReplayFailed:
        where = f"{self._letter.event_id} in {self._collection}"
        return ReplayFailed(f"{where} was retried or skipped by somebody else meanwhile")
