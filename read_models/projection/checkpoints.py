"""Checkpoints: how far a collection's documents have come in each partition of each context's log."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from infra.messages.events import PARTITIONS, Checkpoint, CheckpointMoved
from infra.mongo import Access, Transaction, encode_document, updating

CHECKPOINTS = "checkpoints"

Place = tuple[str, int]
"""A context and a partition of its log."""


def checkpoint_id(collection: str, place: Place) -> str:
    """Such as `orders/ordering/7`."""
    return f"{collection}/{place[0]}/{place[1]}"


async def load(access: Access, collection: str, places: Collection[Place]) -> dict[Place, Checkpoint]:
    """The checkpoints there are, of these places."""
    ids = {checkpoint_id(collection, place): place for place in places}
    found = await access.find(CHECKPOINTS, {"_id": {"$in": list(ids)}})
    return {ids[item["_id"]]: _loaded(item) for item in found}


async def positions(access: Access, collection: str, contexts: Collection[str]) -> dict[Place, int]:
    """Positions of all partitions that have a checkpoint."""
    places = [(context, partition) for context in contexts for partition in range(PARTITIONS)]
    return {place: item.position for place, item in (await load(access, collection, places)).items()}


async def all_positions(access: Access) -> dict[str, dict[Place, int]]:
    """Positions of all partitions that have a checkpoint, by collection."""
    found: dict[str, dict[Place, int]] = {}
    for item in await access.find(CHECKPOINTS, {}):
        collection, context, partition = item["_id"].rsplit("/", 2)
        found.setdefault(collection, {})[context, int(partition)] = item["position"]
    return found


def _loaded(item: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        position=item["position"],
        sequence=item["sequence"],
        sequence_position=item["sequence_position"],
        created=item["created"],
    )


async def confirm(
    transaction: Transaction, collection: str, known: Mapping[Place, Checkpoint], places: Collection[Place]
) -> None:
    """Return if the checkpoints stand where they are known to stand; raises CheckpointMoved.

    Read within the transaction, so that documents kept in memory since are as good as read in it too.
    """
    stored = await load(transaction, collection, places)
    for place in places:
        if stored.get(place) != known.get(place):
            raise CheckpointMoved(collection, place, stored.get(place, Checkpoint()).position)


async def move(
    transaction: Transaction,
    collection: str,
    known: Mapping[Place, Checkpoint],
    moved: Mapping[Place, Checkpoint],
    times: Mapping[Place, str],
) -> None:
    """Move checkpoints from where they are known to stand; raises CheckpointMoved.

    `times` are of the last events applied.
    """
    writes = []
    fresh = []
    for place, checkpoint in moved.items():
        key = checkpoint_id(collection, place)
        fields: dict[str, Any] = {
            "position": checkpoint.position,
            "sequence": checkpoint.sequence,
            "sequence_position": checkpoint.sequence_position,
            "created": checkpoint.created,
        }
        if place in times:
            fields["time"] = times[place]
        if place in known:
            writes.append(updating({"_id": key, "position": known[place].position}, fields))
        else:
            fresh.append(encode_document(key, fields))
    if await transaction.write(CHECKPOINTS, writes) != len(writes):
        raise CheckpointMoved(collection)
    await transaction.insert(CHECKPOINTS, fresh)


async def interrupt(
    transaction: Transaction, collection: str, places: Collection[Place]
) -> dict[Place, Checkpoint]:
    """Have the documents of these places to oneself until the transaction ends; where they stand.

    A projector at work loses its transaction, and whoever projects finds that its checkpoints were changed:
    it starts again from what is stored then, without the documents it remembers. Positions stay; as the
    stream's creation time, a hint for readers, comes what no projector can know.
    """
    stored = await load(transaction, collection, places)
    mark = f"interrupted {uuid.uuid4().hex}"
    writes = [
        updating({"_id": checkpoint_id(collection, place), "position": item.position}, {"created": mark})
        for place, item in stored.items()
    ]
    if await transaction.write(CHECKPOINTS, writes) != len(writes):
        raise CheckpointMoved(collection)
    fresh = {place: Checkpoint(created=mark) for place in places if place not in stored}
    await transaction.insert(
        CHECKPOINTS,
        [
            encode_document(checkpoint_id(collection, place), msgspec.structs.asdict(item))
            for place, item in fresh.items()
        ],
    )
    return {**stored, **fresh}
