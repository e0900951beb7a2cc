"""How fast a replay goes: as an operator allows, and in small steps while events come in."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from infra.event_log.subscription import Batch
from infra.messages.events import Checkpoint
from read_models.projection.checkpoints import Place
from read_models.projection.projector import EventReader

SHARE = 0.25
"""The part of a second's events that are taken at once, so that the rate is even."""
BATCH = 20_000
"""Events of one transaction: a document changed by many of them is written once."""
FIRST_BATCH = 4_000
"""Events of the first transaction; the next ones double, so that writing soon begins."""
LEAST_BATCH = 1_000
BATCH_SECONDS = 0.5
"""How long a transaction may take while events come in."""
COMMAND = 1_000
"""Documents written at once."""
LEAST_COMMAND = 50
COMMAND_SECONDS = 0.02
"""How long one command may take while events come in: a server that does one at a time lets others wait."""
CAUGHT_UP = 0.5
"""The part of the lag at which a replay gave way that must be left before it goes on."""

T = TypeVar("T")


class PacedReader:
    """Another reader, held to `limit` events a second; None: as fast as it goes."""

    def __init__(self, reader: EventReader, limit: float | None) -> None:
        self._reader = reader
        self._free_at = 0.0
        self.limit = limit

    async def start(self, checkpoints: Mapping[Place, Checkpoint]) -> None:
        await self._reader.start(checkpoints)

    async def next(self, limit: int, timeout: float | None) -> Batch | None:
        """As the other reader does, when it is time again."""
        wait = self._free_at - time.monotonic()
        if wait > 0:
            if timeout is not None and wait > timeout:
                await asyncio.sleep(timeout)
                return None
            await asyncio.sleep(wait)
        if self.limit is None:
            return await self._reader.next(limit, timeout)
        batch = await self._reader.next(max(1, min(limit, int(self.limit * SHARE))), timeout)
        if batch is not None:
            self._free_at = time.monotonic() + len(batch.events) / self.limit
        return batch

    async def done(self, batch: Batch) -> None:
        await self._reader.done(batch)

    async def stop(self) -> None:
        await self._reader.stop()


class ConcurrencyLimit:
    """Lets so many replays of one process work at once, the others one after the other, as they asked."""

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._line: dict[str, None] = {}

    def ask(self, name: str) -> bool:
        """Whether it is this one's turn, from now on until it leaves; ask again if it is not."""
        self._line.setdefault(name)
        return name in itertools.islice(self._line, self._at_once)

    def leave(self, name: str) -> None:
        """Let the next one work."""
        self._line.pop(name, None)


class Backpressure:
    """Whether a replay pauses for the live versions: once they are late, until they have caught up."""

    def __init__(self, late: Callable[[], float]) -> None:
        """`late` tells how many seconds they are late."""
        self._late = late
        self.yielding = False

    def now(self, above: float | None) -> bool:
        """Whether to pause now, if live versions may be `above` seconds late; None: however late they are."""
        limit = math.inf if above is None else above * CAUGHT_UP if self.yielding else above
        self.yielding = self._late() > limit
        return self.yielding


class AdaptiveBatchSize:
    """How much is done at once: much, but little while events come in, so that nobody waits for long."""

    def __init__(self, busy: Callable[[], bool], most: int = BATCH) -> None:
        """`busy` tells whether events come in."""
        self._busy = busy
        self._most = most
        self._undisturbed = min(most, FIRST_BATCH)
        self._batch = min(most, LEAST_BATCH)
        self._documents = LEAST_COMMAND

    @property
    def events(self) -> int:
        """Events of the next transaction."""
        return self._batch if self._busy() else self._undisturbed

    def took(self, events: int, seconds: float) -> None:
        """A transaction with so many events took so long."""
        self._undisturbed = min(self._undisturbed * 2, self._most)
        fitting = int(events * BATCH_SECONDS / max(seconds, 0.001))
        self._batch = max(min(fitting, self._batch * 2, self._most), min(LEAST_BATCH, self._most))

    def commands(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """What to write, in parts to be written one after the other; takes notice how long each took."""
        first = 0
        while first < len(items):
            part = items[first : first + (self._documents if self._busy() else COMMAND)]
            began = time.monotonic()
            yield part
            fitting = int(len(part) * COMMAND_SECONDS / max(time.monotonic() - began, 0.001))
            self._documents = max(LEAST_COMMAND, min(fitting, self._documents * 2, COMMAND))
            first += len(part)
