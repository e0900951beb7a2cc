"""Reads contexts' logs from their stores, from checkpoints on: large batches, the oldest events first."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime

from infra.aio import cancel_all
from infra.event_log.client import LogClient
from infra.event_log.subscription import Batch
from infra.messages.event_headers import Delivered
from infra.messages.events import PARTITIONS, Checkpoint
from read_models.projection.checkpoints import Place

AHEAD = 2_000
"""Events kept of each context's log until they are wanted."""
STRETCH = 50
"""Events taken from one log before looking which one's are the oldest."""
BATCH_BYTES = 16 * 1024 * 1024
POLL_SECONDS = 0.2
"""How often to look for more where a log was read to its end."""


class StoreReader:
    """Every event of some contexts once, per partition in order; used as `LogReader` is."""

    def __init__(self, log: LogClient, contexts: Sequence[str]) -> None:
        self._log = log
        self._contexts = contexts
        self._logs: dict[str, _Log] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._arrived = asyncio.Event()
        self._events: list[Delivered] = []
        self._size = 0

    async def start(self, checkpoints: Mapping[Place, Checkpoint]) -> None:
        """Read from these checkpoints on; a missing one means from the beginning. May be called again."""
        await self.stop()
        self._events, self._size = [], 0
        for context in self._contexts:
            known = [checkpoints.get((context, partition), Checkpoint()) for partition in range(PARTITIONS)]
            self._logs[context] = _Log(context, known, self._arrived)
        self._tasks = [asyncio.create_task(each.read(self._log)) for each in self._logs.values()]

    async def next(self, limit: int, timeout: float | None) -> Batch | None:
        """Up to `limit` events: fewer at the end of the logs; None if they are not there in time.

        Raises ContextUnavailable.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._collect(limit):
                    for task in self._tasks:
                        if task.done():
                            task.result()
                    self._arrived.clear()
                    await self._arrived.wait()
                return self._batch()
        return None

    async def done(self, batch: Batch) -> None:
        """There is nobody to acknowledge anything to."""

    async def stop(self) -> None:
        """Stop reading; what was not handed out is dropped."""
        await cancel_all(*self._tasks)
        self._tasks.clear()
        self._logs.clear()

    def _collect(self, limit: int) -> bool:
        """Add what has arrived, the oldest first; whether that is a batch."""
        while len(self._events) < limit and self._size < BATCH_BYTES:
            if any(not each.events and not each.ended for each in self._logs.values()):
                return False
            waiting = [(each.oldest, name) for name, each in self._logs.items() if each.events]
            if not waiting:
                break
            taken = self._logs[min(waiting)[1]].take(min(STRETCH, limit - len(self._events)))
            self._events += taken
            self._size += sum(len(event.data) for event in taken)
        return bool(self._events)

    def _batch(self) -> Batch:
        events, self._events, self._size = self._events, [], 0
        moved = {place: item for each in self._logs.values() for place, item in each.checkpoints().items()}
        return Batch(events, moved, {})


class _Log:
    """One context's log, read ahead of need."""

    def __init__(self, context: str, known: Sequence[Checkpoint], arrived: asyncio.Event) -> None:
        self.events: deque[Delivered] = deque()
        self.ended = False
        """Whether there was no more when last looked."""
        self._context = context
        self._positions = [checkpoint.position for checkpoint in known]
        self._taken = list(self._positions)
        self._through = min(max(c.position, c.sequence_position) for c in known)
        self._read_to = self._through
        self._arrived = arrived
        self._room = asyncio.Event()

    async def read(self, log: LogClient) -> None:
        """Read until cancelled."""
        while True:
            page = await log.page(self._context, self._read_to)
            self._read_to = page.through
            for event in page.events:
                if event.position > self._positions[event.partition]:
                    self._positions[event.partition] = event.position
                    self.events.append(event)
            self.ended = page.through >= page.head
            self._arrived.set()
            if self.ended:
                await asyncio.sleep(POLL_SECONDS)
            while len(self.events) > AHEAD:
                self._room.clear()
                await self._room.wait()

    @property
    def oldest(self) -> datetime:
        return self.events[0].metadata.time

    def take(self, limit: int) -> list[Delivered]:
        taken = [self.events.popleft() for _ in range(min(limit, len(self.events)))]
        for event in taken:
            self._taken[event.partition] = event.position
        self._through = self._read_to if not self.events else taken[-1].position
        self._room.set()
        return taken

    def checkpoints(self) -> dict[Place, Checkpoint]:
        """All partitions' checkpoints after what was taken; also the idle ones' tell how far was looked."""
        return {
            (self._context, partition): Checkpoint(position=position, sequence_position=self._through)
            for partition, position in enumerate(self._taken)
        }
