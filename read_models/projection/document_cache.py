"""Documents a projector wrote lately, so that it need not read them again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic

from read_models.projection.model import D

CACHE_BYTES = 4 * 1024 * 1024
"""Stored bytes of the documents kept; in memory they take several times as much."""


class DocumentCache(Generic[D]):
    """The documents used last, by key, bounded by their stored size."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._documents: OrderedDict[str, tuple[D, int]] = OrderedDict()

    def get(self, key: str) -> D | None:
        """The document, if it is kept."""
        found = self._documents.get(key)
        if found is None:
            return None
        self._documents.move_to_end(key)
        return found[0]

    def put(self, key: str, document: D | None, size: int) -> None:
        """Keep a document of `size` stored bytes; None forgets it."""
        known = self._documents.pop(key, None)
        if known is not None:
            self._size -= known[1]
        if document is not None:
            self._documents[key] = document, size
            self._size += size
        while self._size > self._limit:
            _, (_, oldest) = self._documents.popitem(last=False)
            self._size -= oldest

    def clear(self) -> None:
        """Forget everything."""
        self._documents.clear()
        self._size = 0
