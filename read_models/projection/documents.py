"""Reading documents: which collection is live, one document, a page of many."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from infra.mongo import Mongo, Sort
from read_models.projection.model import ReadModel
from read_models.projection.versions import VERSIONS

MAX_LIMIT = 200
REFRESH_SECONDS = 1.0
"""How long the live collections are known: for so long a query may still read one that was live before."""
BY_KEY: Sort = (("_id", 1),)


class CursorInvalid(ValueError):
    """Text that is no cursor of this list."""


class Page(msgspec.Struct, frozen=True):
    """Some documents of a list, and the cursor of the next page if there is one."""

    items: list[dict[str, Any]]
    next: str | None


class ReadModels:
    """The read models' documents, ready for JSON; every method may raise MongoUnavailable."""

    def __init__(self, mongo: Mongo) -> None:
        self.mongo = mongo
        self._live: dict[str, str] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def live(self, model: str) -> str:
        """The collection that queries of a model read; known for a second."""
        if time.monotonic() - self._read_at > REFRESH_SECONDS:
            await self._refresh()
        return self._live.get(model, model)

    async def _refresh(self) -> None:
        # Whoever finds it out of date waits: what was live before may not be there any more.
        async with self._reading:
            began = time.monotonic()
            if began - self._read_at > REFRESH_SECONDS:
                self._live = {item["_id"]: item["live"] for item in await self.mongo.find(VERSIONS, {})}
                self._read_at = began

    def pinned(self, model: str, collection: str) -> ReadModels:
        """The same, but one model is read from this collection, whichever is live by then."""
        return _Pinned(self, model, collection)

    async def get(self, model: ReadModel[Any], key: str) -> dict[str, Any] | None:
        """One document, if there is one to see."""
        found = await self.mongo.find(
            await self.live(model.name),
            {"_id": key, **(model.visible or {})},
            limit=1,
            without=_hidden(model),
        )
        return found[0] if found else None

    async def page(
        self,
        model: ReadModel[Any],
        wanted: Mapping[str, Any] | None = None,
        *,
        order: Sort = BY_KEY,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Some of the documents that are as wanted (None: as it may be), in an order that ends with `_id`.

        `order` goes one way in all its fields. Raises CursorInvalid.
        """
        wish = {**(model.visible or {}), **{k: v for k, v in (wanted or {}).items() if v is not None}}
        parts = [wish, _after(order, _decoded(cursor, len(order)))] if cursor is not None else [wish]
        size = min(max(limit, 1), MAX_LIMIT)
        items = await self.mongo.find(
            await self.live(model.name),
            {"$and": parts} if len(parts) > 1 else wish,
            sort=order,
            limit=size + 1,
            without=model.private,
        )
        places = [[item[field] for field, _ in order] for item in items]
        for item in items:
            del item["_id"]
        return Page(items[:size], _encoded(places[size - 1]) if len(items) > size else None)

    async def aggregate(
        self, model: ReadModel[Any], pipeline: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """What an aggregation over a model's documents yields."""
        return await self.mongo.aggregate(await self.live(model.name), pipeline)


class _Pinned(ReadModels):
    def __init__(self, others: ReadModels, model: str, collection: str) -> None:
        super().__init__(others.mongo)
        self._others = others
        self._model = model
        self._collection = collection

    async def live(self, model: str) -> str:
        return self._collection if model == self._model else await self._others.live(model)


def _hidden(model: ReadModel[Any]) -> tuple[str, ...]:
    return ("_id", *model.private)


def _after(order: Sort, place: Sequence[str]) -> Mapping[str, Any]:
    """What comes after a place: later in the first field, or the same in it and later in the second."""
    (field, direction), *others = order
    beyond = "$gt" if direction > 0 else "$lt"
    if not others:
        return {field: {beyond: place[0]}}
    same = {field: place[0], **_after(others, place[1:])}
    # The first condition alone bounds the part of the index that is read.
    return {field: {f"{beyond}e": place[0]}, "$or": [{field: {beyond: place[0]}}, same]}


def _encoded(place: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _decoded(cursor: str, parts: int) -> list[str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(text, type=list[str])
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise CursorInvalid(f"{cursor[:80]!r} is no cursor") from error
    if len(place) != parts:
        raise CursorInvalid(f"{cursor[:80]!r} is another list's cursor")
    return place
