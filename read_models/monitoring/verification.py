"""Are the read models, byte for byte, and the streams what the contexts' stores say they ought to be?"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from nats.aio.client import Client

from contexts import NAMES
from infra.event_log.server import LogClient
from infra.event_log.stream_audit import StreamContents, complaints, stream_contents
from infra.event_store.errors import RESTORE_REMEDY
from infra.messages.events import PARTITIONS
from infra.runtime.dead_letters.client import DeadLetterClient
from read_models.monitoring.lag import Heads, behind
from read_models.monitoring.payment_audit import CheckedPayments
from read_models.projection import checkpoints, losses
from read_models.projection.checkpoints import Place
from read_models.projection.dead_letter_audit import skipped_events
from read_models.projection.dead_letters import list_parked
from read_models.projection.documents import ReadModels
from read_models.projection.folding import Fold
from read_models.projection.model import ReadModel
from read_models.projection.versions import versions_of
from read_models.registry import MODELS

POLL_SECONDS = 0.2
MOST_KEPT = 1_000
"""Differences that are told one by one; all of them are counted."""

LATE = "run it again with a longer --wait; `orderfold doctor` says whether read models are at work"

CONTEXTS = tuple(sorted(NAMES))


class Difference(msgspec.Struct, frozen=True):
    """Something that is not as the stores say: `subject` is a stream, a read model or a context's inbox.

    `key` is a document's; `remedy` names the command that mends it.
    """

    subject: str
    what: str
    key: str = ""
    remedy: str = ""


class CheckedContext(msgspec.Struct, frozen=True, kw_only=True):
    """A context's store beside its stream."""

    context: str
    head: int
    events: int
    stream_position: int
    stream_messages: int


class CheckedModel(msgspec.Struct, kw_only=True):
    """A read model beside what was folded anew."""

    model: str
    documents: int = 0
    events: int = 0
    differences: int = 0
    dead_letters: int = 0


class Stuck(msgspec.Struct, frozen=True):
    """A fulfilment that waits for an operator: nothing differs, but somebody should know."""

    order_id: str
    problem: str


class Report(msgspec.Struct, kw_only=True):
    """What verification has found."""

    contexts: list[CheckedContext] = msgspec.field(default_factory=list)
    models: list[CheckedModel] = msgspec.field(default_factory=list)
    differences: list[Difference] = msgspec.field(default_factory=list)
    difference_count: int = 0
    stuck: list[Stuck] = msgspec.field(default_factory=list)
    payments: CheckedPayments = msgspec.field(default_factory=CheckedPayments)

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it while there is room."""
        self.difference_count += 1
        if len(self.differences) < MOST_KEPT:
            self.differences.append(difference)

    @property
    def clean(self) -> bool:
        """Whether nothing differs."""
        return self.difference_count == 0


class Snapshot(msgspec.Struct):
    """A read model at one moment: its checkpoints, and a digest of each of its documents."""

    model: ReadModel[Any]
    checked: CheckedModel
    positions: dict[Place, int]
    digests: dict[str, bytes]
    parked: set[str]
    skipped: set[str]

    def position(self, context: str, partition: int) -> int:
        """Up to where the documents hold a partition's events."""
        return self.positions.get((context, partition), 0)


class Verification:
    """One verification of everything, under traffic or not.

    It reads each read model in one transaction, then every context's log once, and holds the documents of one
    partition and a digest of every document at a time.
    """

    def __init__(self, nats: Client, log: LogClient, models: ReadModels) -> None:
        self._nats = nats
        self._log = log
        self._models = models
        self.report = Report()
        self._events: dict[str, int] = {}

    async def run(self, wait: float, tell: Callable[[int, int], None]) -> Report:
        """Verify, after giving relays and projectors up to `wait` seconds to catch up with what there is now.

        `tell` is given how many of how many partitions are done. Raises NatsUnavailable, MongoUnavailable and
        ContextUnavailable.
        """
        heads = await self._log.all_heads(CONTEXTS)
        await self._catch_up(heads, wait)
        streams = {context: await stream_contents(self._nats, context) for context in CONTEXTS}
        snapshots = [await self._snapshot(model) for model in MODELS.values()]
        for snapshot in snapshots:
            self._compare_checkpoints(snapshot, heads)
        self._events = dict.fromkeys(CONTEXTS, 0)
        for partition in range(PARTITIONS):
            tell(partition, PARTITIONS)
            await self._compare_partition(partition, snapshots, streams)
        tell(PARTITIONS, PARTITIONS)
        for snapshot in snapshots:
            for key in sorted(snapshot.digests):
                self._differs(snapshot, "is there, though no event makes it", key)
            self.report.models.append(snapshot.checked)
        for context in CONTEXTS:
            self._compare_stream(context, heads, streams[context])
        await self._find_dead_letters()
        await self._find_stuck()
        return self.report

    async def _catch_up(self, heads: Heads, wait: float) -> None:
        deadline = asyncio.get_running_loop().time() + wait
        while not await self._caught_up(heads):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _caught_up(self, heads: Heads) -> bool:
        for context in CONTEXTS:
            if (await stream_contents(self._nats, context)).position < max(heads[context]):
                return False
        for model in MODELS.values():
            live = await self._models.live(model.name)
            known = await checkpoints.positions(self._models.mongo, live, model.contexts)
            if behind(known, {context: heads[context] for context in model.contexts}):
                return False
        return True

    async def _snapshot(self, model: ReadModel[Any]) -> Snapshot:
        live = await self._models.live(model.name)
        if loss := await losses.find_loss(self._models.mongo, live, model.contexts):
            versions = await versions_of(self._models.mongo, model.name)
            self.report.add(Difference(model.name, loss, remedy=losses.remedy(versions, live)))
        digests: dict[str, bytes] = {}
        async with self._models.mongo.transaction() as moment:
            positions = await checkpoints.positions(moment, live, model.contexts)
            async for key, data in moment.find_stored(live, {}):
                digests[key] = digest(data)
            letters = await list_parked(moment, live)
            skipped = await skipped_events(moment, model.name)
        checked = CheckedModel(model=model.name, documents=len(digests), dead_letters=len(letters))
        for letter in letters:
            waiting = f", {letter.waiting} events wait behind it" if letter.waiting else ""
            what = f"dead letter: {letter.name} {letter.event_id}: {letter.error}{waiting}"
            self.report.add(
                Difference(model.name, what, letter.key, _look_at_letters(model.name, letter.key))
            )
        return Snapshot(model, checked, positions, digests, {letter.key for letter in letters}, skipped)

    def _compare_checkpoints(self, snapshot: Snapshot, heads: Heads) -> None:
        for context, partition in behind(
            snapshot.positions, {context: heads[context] for context in snapshot.model.contexts}
        ):
            place = f"partition {partition} of {context}"
            position, head = snapshot.position(context, partition), heads[context][partition]
            what = f"has {place} up to {position:,}, the store ends at {head:,}"
            self._differs(snapshot, what, remedy=LATE)

    async def _compare_partition(
        self, partition: int, snapshots: list[Snapshot], streams: Mapping[str, StreamContents]
    ) -> None:
        folds = [(snapshot, Fold(snapshot.model)) for snapshot in snapshots]
        for context in CONTEXTS:
            theirs = [
                (snapshot, fold, snapshot.position(context, partition))
                for snapshot, fold in folds
                if context in snapshot.model.contexts
            ]
            last = 0
            async for events in self._log.read(context, 0, partitions=[partition]):
                published = streams[context].position
                self._events[context] += sum(event.position <= published for event in events)
                last = events[-1].position
                for snapshot, fold, upto in theirs:
                    due = [event for event in events if event.position <= upto]
                    fold.add([event for event in due if event.event_id not in snapshot.skipped])
                    snapshot.checked.events += len(due)
            for snapshot, _, upto in theirs:
                if upto > last:
                    place = f"partition {partition} of {context}"
                    what = f"has {place} up to {upto:,}, but the store ends at {last:,}"
                    self._differs(snapshot, what, remedy=RESTORE_REMEDY)
        for snapshot, fold in folds:
            self._compare_documents(snapshot, fold)

    def _compare_documents(self, snapshot: Snapshot, fold: Fold[Any]) -> None:
        for key, data in fold.stored().items():
            stored = snapshot.digests.pop(key, None)
            if stored is None:
                self._differs(snapshot, "is missing", key)
            elif stored != digest(data):
                self._differs(snapshot, "is not what its events make it", key)
        for key in fold.parked.keys() - snapshot.parked:
            self._differs(snapshot, "cannot be folded, and no dead letter says so", key)

    def _compare_stream(self, context: str, heads: Heads, stream: StreamContents) -> None:
        head = max(heads[context])
        self.report.contexts.append(
            CheckedContext(
                context=context,
                head=head,
                events=self._events[context],
                stream_position=stream.position,
                stream_messages=stream.messages,
            )
        )
        for complaint in complaints(stream, head=head, events=self._events[context]):
            anew = " --anew" if complaint.anew else ""
            remedy = f"orderfold replay publish {context}{anew}"
            self.report.add(Difference(f"stream of {context}", complaint.what, remedy=remedy))

    async def _find_stuck(self) -> None:
        live = await self._models.live("fulfilments")
        found = await self._models.mongo.find(live, {"stuck": True}, sort=(("_id", 1),), limit=MOST_KEPT)
        self.report.stuck = [Stuck(item["_id"], str(item.get("problem") or "")) for item in found]

    async def _find_dead_letters(self) -> None:
        """What contexts could not take of each other's facts."""
        letters = DeadLetterClient(self._nats)
        for context in CONTEXTS:
            for parked in await letters.keys(context):
                waiting = f", {parked.waiting} more behind it" if parked.waiting else ""
                what = f"dead letter: {parked.name} {parked.event_id}: {parked.error}{waiting}"
                remedy = _look_at_letters(inbox_name(context), parked.key)
                self.report.add(Difference(f"inbox of {context}", what, parked.key, remedy))

    def _differs(self, snapshot: Snapshot, what: str, key: str = "", remedy: str = "") -> None:
        snapshot.checked.differences += 1
        if key and not remedy:
            remedy = f"orderfold replay repair {snapshot.model.name} --key {key}"
        self.report.add(Difference(snapshot.model.name, what, key, remedy))


def _look_at_letters(name: str, key: str) -> str:
    return f"orderfold replay dead-letters show {name} {key}, then retry or skip"


def _rebuild(model: str) -> str:
    return f"orderfold replay start {model} --switch"


def inbox_name(context: str) -> str:
    """How a context's inbox is named where a read model may be named, too."""
    return f"context:{context}" if context in MODELS else context


def digest(data: bytes) -> bytes:
    """What tells two stored documents apart."""
    return hashlib.blake2b(data, digest_size=16).digest()
