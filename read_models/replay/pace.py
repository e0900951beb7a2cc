"""Reads no faster than an operator allows, to spare what the replay reads from and writes to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from infra.log_reader import Batch
from infra.records import Checkpoint
from read_models.checkpoints import Place
from read_models.projector import EventReader

SHARE = 0.25
"""The part of a second's events that are taken at once, so that the rate is even."""


class PacedReader:
    """Another reader, held to `limit` events a second; None: as fast as it goes."""

    def __init__(self, reader: EventReader, limit: float | None) -> None:
        self._reader = reader
        self._free_at = 0.0
        self.limit = limit

    async def start(self, checkpoints: Mapping[Place, Checkpoint]) -> None:
        """As the other reader does."""
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
        """As the other reader does."""
        await self._reader.done(batch)

    async def stop(self) -> None:
        """As the other reader does."""
        await self._reader.stop()
