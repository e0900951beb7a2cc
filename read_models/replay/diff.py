"""Two versions of a read model, document by document, as of the same events."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

import msgspec

from infra.event_log.client import LogClient
from infra.messages.event_headers import Delivered
from infra.messages.events import PARTITIONS
from infra.mongo import Access, Mongo, Transaction
from read_models.projection import checkpoints
from read_models.projection.checkpoints import Place
from read_models.projection.dead_letter_audit import skipped_events
from read_models.projection.dead_letters import parked_keys
from read_models.projection.folding import fold, sort
from read_models.projection.model import ReadModel
from read_models.projection.versions import versions_of
from read_models.replay.errors import ReplayFailed
from read_models.replay.state import State, find_replay
from read_models.replay.value_diff import Comparison

MOST_BEHIND = 20_000
"""Events one version may be behind the other: so many are folded in memory before comparing."""
FOUND_AT_ONCE = 1_000

_BUILT = (State.WAITING, State.RUNNING, State.PAUSED, State.READY)

Positions = Mapping[Place, int]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the versions. `checksum` is of all documents in their stored form, by key.

    `dead_letters` counts keys. `caught_up` events were folded in memory: the other version had them already.
    """

    collection: str
    documents: int
    checksum: str
    dead_letters: int
    caught_up: int


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What would change for a model's queries if they were switched from blue to green."""

    model: str
    blue: Side
    green: Side
    comparison: Comparison

    @property
    def clean(self) -> bool:
        """Whether every document is the same, byte for byte."""
        return self.comparison.differences == 0


async def sides_of(access: Access, model: str) -> tuple[str, str]:
    """The collections to compare: what is live, and what a replay builds, else the newest kept beside it.

    Raises ReplayFailed if there is but one.
    """
    versions = await versions_of(access, model)
    replay = await find_replay(access, model)
    if replay is not None and replay.state in _BUILT and replay.collection != versions.live:
        return versions.live, replay.collection
    others = [name for name in versions.versions if name != versions.live]
    if not others:
        raise ReplayFailed(f"{model} has one version, {versions.live}; `replay start {model}` builds another")
    return versions.live, max(others, key=_number)


def _number(collection: str) -> int:
    return int(collection.partition("@")[2] or 1)


async def compare(mongo: Mongo, log: LogClient, model: ReadModel[Any], blue: str, green: str) -> Diff:
    """Compare two collections of a model at one moment, under traffic or not.

    Events that only one has applied are folded into the other's documents in memory, so that nothing differs
    for being late. Holds those documents and the differences' examples, never a whole collection. Raises
    ReplayFailed if one is far behind, MongoUnavailable and ContextUnavailable.
    """
    comparison = Comparison()
    async with mongo.transaction() as moment:
        positions = [await checkpoints.positions(moment, name, model.contexts) for name in (blue, green)]
        target = {place: max(known.get(place, 0) for known in positions) for place in _places(model)}
        old, new = [
            await _version(moment, log, model, name, known, target)
            for name, known in zip((blue, green), positions, strict=True)
        ]
        await _merge(old, new, comparison)
    return Diff(model=model.name, blue=old.side(), green=new.side(), comparison=comparison)


class _Version:
    """A version's documents of one moment, those in `later` as they are once it has caught up."""

    def __init__(
        self,
        moment: Transaction,
        collection: str,
        later: Mapping[str, bytes | None],
        parked: Collection[str],
        caught_up: int,
    ) -> None:
        self._moment = moment
        self._collection = collection
        self._later = later
        self._parked = parked
        self._caught_up = caught_up
        self._documents = 0
        self._digest = hashlib.blake2b(digest_size=16)

    async def documents(self) -> AsyncIterator[tuple[str, bytes]]:
        """Every document in its stored form, by key."""
        waiting = sorted(self._later, key=str.encode, reverse=True)
        async for stored, data in self._moment.find_stored(self._collection, {}):
            while waiting and waiting[-1].encode() < stored.encode():
                for item in self._counted(waiting[-1], self._later[waiting.pop()]):
                    yield item
            known = waiting and waiting[-1] == stored
            for item in self._counted(stored, self._later[waiting.pop()] if known else data):
                yield item
        while waiting:
            for item in self._counted(waiting[-1], self._later[waiting.pop()]):
                yield item

    def _counted(self, key: str, data: bytes | None) -> Sequence[tuple[str, bytes]]:
        if data is None:
            return ()
        self._documents += 1
        self._digest.update(data)
        return ((key, data),)

    def side(self) -> Side:
        """What there was, once all documents were taken."""
        return Side(
            collection=self._collection,
            documents=self._documents,
            checksum=self._digest.hexdigest(),
            dead_letters=len(self._parked),
            caught_up=self._caught_up,
        )


async def _version(
    moment: Transaction,
    log: LogClient,
    model: ReadModel[Any],
    collection: str,
    positions: Positions,
    target: Positions,
) -> _Version:
    parked = await parked_keys(moment, collection)
    missing = await _missing(log, model, collection, positions, target)
    skipped = await skipped_events(moment, model.name) if missing else set()
    found = sort(model, [event for event in missing if event.event_id not in skipped], parked)
    known, unreadable = await _known(moment, model, collection, list(found.by_key))
    later = {
        key: fold(model, key, known.get(key), events).data
        for key, events in found.by_key.items()
        # A document of another form is compared as it is.
        if key not in unreadable
    }
    return _Version(moment, collection, later, parked, len(missing))


async def _known(
    moment: Transaction, model: ReadModel[Any], collection: str, keys: Sequence[str]
) -> tuple[dict[str, Any], set[str]]:
    """The documents of some keys, and those keys of which the model does not know the document's form."""
    known: dict[str, Any] = {}
    unreadable: set[str] = set()
    for begin in range(0, len(keys), FOUND_AT_ONCE):
        wanted = {"_id": {"$in": keys[begin : begin + FOUND_AT_ONCE]}}
        for fields in await moment.find(collection, wanted):
            try:
                known[fields["_id"]] = model.loaded(fields)
            except msgspec.ValidationError:
                unreadable.add(fields["_id"])
    return known, unreadable


async def _missing(
    log: LogClient, model: ReadModel[Any], collection: str, positions: Positions, target: Positions
) -> list[Delivered]:
    """The events after these positions up to the target."""
    missing: list[Delivered] = []
    for context in model.contexts:
        behind = {
            partition: positions.get((context, partition), 0)
            for partition in range(PARTITIONS)
            if positions.get((context, partition), 0) < target[context, partition]
        }
        if not behind:
            continue
        last = max(target[context, partition] for partition in behind)
        async for events in log.read(context, min(behind.values()), partitions=list(behind)):
            missing += [
                event
                for event in events
                if behind[event.partition] < event.position <= target[context, event.partition]
            ]
            if len(missing) > MOST_BEHIND:
                raise ReplayFailed(
                    f"{collection} is more than {MOST_BEHIND:,} events behind the other version; "
                    "compare them when it has caught up (`replay status` tells)"
                )
            if events[-1].position >= last:
                break
    return missing


async def _merge(blue: _Version, green: _Version, comparison: Comparison) -> None:
    olds, news = blue.documents(), green.documents()
    old, new = await anext(olds, None), await anext(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[0].encode() < new[0].encode()):
            assert old is not None
            comparison.add(old[0], old[1], None)
            old = await anext(olds, None)
        elif old is None or new[0] != old[0]:
            comparison.add(new[0], None, new[1])
            new = await anext(news, None)
        else:
            comparison.add(old[0], old[1], new[1])
            old, new = await anext(olds, None), await anext(news, None)


def _places(model: ReadModel[Any]) -> list[Place]:
    return [(context, partition) for context in model.contexts for partition in range(PARTITIONS)]
