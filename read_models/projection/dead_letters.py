"""Dead letters: events kept back because they, or one before them for the same key, could not be applied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from infra.messages.event_headers import Delivered
from infra.messages.events import Metadata
from infra.mongo import Access, Sort, Transaction, deleting, encode_document, replacing
from read_models.projection.folding import Parked
from read_models.projection.model import instant

DEAD_LETTERS = "dead_letters"
INDEXES: tuple[Sort, ...] = ((("collection", 1), ("first", 1)), (("collection", 1), ("key", 1)))


class DeadLetterSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is parked: the event that could not be applied, why, and how many wait behind it."""

    collection: str
    key: str
    event_id: str
    name: str
    error: str
    trace: str | None
    parked_at: str
    waiting: int


async def keep(transaction: Transaction, collection: str, parked: Sequence[Parked]) -> None:
    """Put events by, each in a document of its own, since a key may have any number of them."""
    now = instant(datetime.now(UTC))
    await transaction.write(
        DEAD_LETTERS,
        [
            replacing(key, encode_document(key, _fields(collection, item, now)))
            for key, item in _ids(collection, parked)
        ],
    )


def _ids(collection: str, parked: Sequence[Parked]) -> list[tuple[str, Parked]]:
    # Sorted by their ids a key's events are in order per context, which is all the order there is.
    return [
        (f"{collection}/{item.key}/{item.event.context}/{item.event.position:020}", item) for item in parked
    ]


def _fields(collection: str, item: Parked, now: str) -> dict[str, Any]:
    event = item.event
    return {
        "collection": collection,
        "key": item.key,
        "first": item.error is not None,
        "event_id": event.event_id,
        "context": event.context,
        "position": event.position,
        "prev": event.prev,
        "partition": event.partition,
        "stream": event.stream,
        "version": event.version,
        "name": event.name,
        "data": event.data,
        "metadata": msgspec.json.encode(event.metadata),
        "error": item.error,
        "trace": item.trace,
        "parked_at": now,
    }


async def forget(transaction: Transaction, collection: str, keys: Collection[str]) -> int:
    """Keep these keys' events back no longer; how many there were."""
    found = await transaction.find(
        DEAD_LETTERS,
        {"collection": collection, "key": {"$in": list(keys)}},
        without=("data", "metadata"),
    )
    await transaction.write(DEAD_LETTERS, [deleting(item["_id"]) for item in found])
    return len(found)


async def parked_places(access: Access, collection: str) -> dict[tuple[str, int], str]:
    """Context and position of every event that is kept back, with the key it is kept for."""
    found = await access.find(DEAD_LETTERS, {"collection": collection}, without=("data", "metadata"))
    return {(item["context"], item["position"]): item["key"] for item in found}


async def parked_keys(access: Access, collection: str) -> set[str]:
    """The keys of a collection that are parked."""
    found = await access.find(
        DEAD_LETTERS, {"collection": collection, "first": True}, without=("data", "metadata")
    )
    return {item["key"] for item in found}


async def list_parked(access: Access, collection: str) -> list[DeadLetterSummary]:
    """What is parked of a collection, a letter per key."""
    firsts = await access.find(
        DEAD_LETTERS,
        {"collection": collection, "first": True},
        sort=(("_id", 1),),
        without=("data", "metadata"),
    )
    counts = await access.aggregate(
        DEAD_LETTERS,
        [
            {"$match": {"collection": collection, "first": False}},
            {"$group": {"_id": "$key", "events": {"$sum": 1}}},
        ],
    )
    waiting = {item["_id"]: item["events"] for item in counts}
    return [
        msgspec.convert({**item, "waiting": waiting.get(item["key"], 0)}, DeadLetterSummary)
        for item in firsts
    ]


async def parked_events(access: Access, collection: str, key: str) -> list[Delivered]:
    """The events of a parked key, in order per context, as they were delivered."""
    found = await access.find(DEAD_LETTERS, {"collection": collection, "key": key}, sort=(("_id", 1),))
    return [
        Delivered(
            item["context"],
            item["position"],
            item["prev"],
            item["partition"],
            item["stream"],
            item["version"],
            item["name"],
            item["data"],
            msgspec.json.decode(item["metadata"], type=Metadata),
        )
        for item in found
    ]
