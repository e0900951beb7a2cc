"""Documents or checkpoints that were deleted by hand: told by what there was of a version before.

A database that was wiped as a whole has nothing left, and is filled again. Where only documents are gone they
would be missed for ever; where only checkpoints are, events would be applied to documents that have them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from infra.mongo import Access, Mongo, encode_document, replacing, updating
from read_models.projection import checkpoints
from read_models.projection.checkpoints import checkpoint_id
from read_models.projection.model import ReadModel
from read_models.projection.versions import Versions, all_versions

MARKS = "projected"


class DocumentsLost(Exception):
    """Something of a version is gone that was there; the message says what."""


class Mark(msgspec.Struct, frozen=True):
    """What there was of a version when it was last looked at; documents never become fewer by events."""

    documents: int
    checkpoints: tuple[str, ...]


async def remember(mongo: Mongo, collection: str, contexts: Collection[str]) -> None:
    """Look at a version, and keep what there is of it; raises DocumentsLost if something is gone."""
    known = await _mark(mongo, collection)
    now = await _look(mongo, collection, contexts, known)
    if known is not None and (loss := _loss(collection, known, now)):
        raise DocumentsLost(loss)
    if now == known or not (now.documents or now.checkpoints):
        return
    if known is None:
        await mongo.write(MARKS, [replacing(collection, encode_document(collection, _fields(now)))])
    else:
        # Unless somebody deletes documents on purpose meanwhile.
        seen = {"_id": collection, "documents": known.documents}
        await mongo.write(MARKS, [updating(seen, _fields(now))])


async def find_loss(mongo: Mongo, collection: str, contexts: Collection[str]) -> str:
    """What of a version is gone that was there; empty if nothing is."""
    known = await _mark(mongo, collection)
    return "" if known is None else _loss(collection, known, await _look(mongo, collection, contexts, known))


async def was_there(mongo: Mongo, collection: str) -> bool:
    """Whether there was ever anything of a version, though it may be deleted."""
    return await _mark(mongo, collection) is not None


async def losses_of_live(mongo: Mongo, models: Mapping[str, ReadModel[Any]]) -> dict[str, str]:
    """What is gone of the versions that queries read, with what mends it, by model."""
    found = {}
    for name, versions in (await all_versions(mongo, models)).items():
        if loss := await find_loss(mongo, versions.live, models[name].contexts):
            found[name] = f"{loss}; {remedy(versions, versions.live)}"
    return found


async def documents_deleted(access: Access, collection: str) -> None:
    """Documents of a version are deleted on purpose in this transaction: there may be fewer since."""
    await access.write(MARKS, [updating({"_id": collection}, {"documents": 0})])


def remedy(versions: Versions, collection: str) -> str:
    """The commands that build anew what was lost."""
    model = versions.model
    if collection == versions.live:
        return (
            f"`orderfold replay start {model} --switch` builds it anew, then "
            f"`orderfold replay drop {model} --yes` deletes what is left of the old one"
        )
    return f"`orderfold replay drop {model} {collection} --yes` deletes what is left of it"


async def _mark(access: Access, collection: str) -> Mark | None:
    found = await access.find(MARKS, {"_id": collection})
    return msgspec.convert(found[0], Mark) if found else None


async def _look(mongo: Mongo, collection: str, contexts: Collection[str], known: Mark | None) -> Mark:
    # Documents after checkpoints, which are written together: of those seen then there may only be more.
    positions = await checkpoints.positions(mongo, collection, contexts)
    documents = await mongo.count(collection)
    if known is not None and documents < known.documents:
        # After a crash of the server its own count may be too low.
        documents = await mongo.count(collection, exactly=True)
    return Mark(documents, tuple(sorted(checkpoint_id(collection, place) for place in positions)))


def _loss(collection: str, known: Mark, now: Mark) -> str:
    missing = sorted(set(known.checkpoints) - set(now.checkpoints))
    lost = []
    if now.documents < known.documents:
        lost.append(f"{known.documents - now.documents:,} of {known.documents:,} documents")
    if missing:
        example = "" if len(missing) == 1 else f" and {len(missing) - 1} more"
        lost.append(f"the checkpoint {missing[0]}{example}")
    if not lost:
        return ""
    return f"{' and '.join(lost)} of {collection} were deleted from MongoDB"


def _fields(mark: Mark) -> dict[str, object]:
    return {"documents": mark.documents, "checkpoints": list(mark.checkpoints)}
