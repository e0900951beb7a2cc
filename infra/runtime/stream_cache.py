"""The streams of one context as their folded states: loaded once, kept while they are in use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from infra.event_store.store import EventStore
from infra.messages.codec import EventCodec

CACHED_STREAMS = 5_000
"""States kept in memory; the least recently used one goes first."""


class Folded(msgspec.Struct, frozen=True):
    """A stream's state at a version, and where in the context's log that version stands (0 = no events)."""

    state: Any
    version: int
    position: int


class Streams:
    """Loads streams and keeps their states; one at a time may change a stream."""

    def __init__(
        self,
        store: EventStore,
        codec: EventCodec,
        initial: Callable[[str], Any],
        evolve: Callable[[Any, Any], Any],
    ) -> None:
        self.store = store
        self.codec = codec
        self.evolve = evolve
        self._initial = initial
        self._folded: OrderedDict[str, Folded] = OrderedDict()
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def locked(self, stream: str) -> AsyncIterator[None]:
        """Hold a stream: whoever else wants to change it in this process waits."""
        lock, users = self._locks.get(stream) or (asyncio.Lock(), 0)
        self._locks[stream] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[stream]
            if users == 1:
                del self._locks[stream]
            else:
                self._locks[stream] = (lock, users - 1)

    async def load(self, stream: str, *, fresh: bool = False) -> Folded:
        """The stream as it stands; `fresh` asks the store also when the state is known.

        A known state of a store that others write to may be behind. An append decided on it then conflicts,
        so only decisions that append nothing need a fresh one.
        """
        known = self._folded.get(stream)
        if known is not None and not fresh:
            return known
        folded = known or Folded(self._initial(stream), 0, 0)
        state, version, position = folded.state, folded.version, folded.position
        for record in await self.store.load(stream, after=version):
            state = self.evolve(state, self.codec.decode(record.name, record.data))
            version, position = record.version, record.position
        folded = Folded(state, version, position)
        if version:
            self.keep(stream, folded)
        return folded

    def keep(self, stream: str, folded: Folded) -> None:
        """Remember a state that the store holds."""
        self._folded[stream] = folded
        self._folded.move_to_end(stream)
        if len(self._folded) > CACHED_STREAMS:
            self._folded.popitem(last=False)

    def forget(self, stream: str) -> None:
        """Load this stream anew the next time."""
        self._folded.pop(stream, None)
