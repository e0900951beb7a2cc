"""How far a replay is: what it has applied, where the logs end, and how fast it goes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from infra.aio import wait_for_event
from infra.event_log.client import ContextUnavailable, LogClient
from infra.nats.connection import NatsUnavailable
from read_models.monitoring.lag import behind
from read_models.projection.checkpoints import Place

LOOK_SECONDS = 0.5
IDLE_SECONDS = 5.0
"""How often to look while nobody works on the replay."""
FRESH_SECONDS = 5.0
"""A version that has everything there was so long ago is up to date: projectors take it over from there.

It must be longer than two transactions take on a busy machine, else a version is never ready under traffic.
"""
SPEED_SECONDS = 5.0
"""The time over which the speed is taken."""

logger = structlog.get_logger(__name__)


class Progress:
    """The way of one version to the end of its contexts' logs."""

    def __init__(self, log: LogClient, contexts: Sequence[str]) -> None:
        self._log = log
        self._contexts = contexts
        self._heads: dict[str, list[int]] = {}
        self._looks: deque[tuple[float, dict[str, list[int]]]] = deque()
        self._marks: deque[tuple[float, int]] = deque()
        self.working = asyncio.Event()
        """Set while somebody works on it, and so wants to know soon where the end is."""

    async def follow(self) -> None:
        """Know where the logs end, until cancelled."""
        while True:
            asked_at = time.monotonic()
            try:
                self._heads = await self._log.all_heads(self._contexts)
            except (ContextUnavailable, NatsUnavailable) as error:
                logger.debug("heads unknown", reason=str(error))
            else:
                self._looks.append((asked_at, self._heads))
            await asyncio.sleep(LOOK_SECONDS)
            await wait_for_event(self.working, IDLE_SECONDS)

    def up_to_date(self, positions: Mapping[Place, int]) -> bool:
        """Whether a version that is there has all there was a moment ago."""
        while self._looks and time.monotonic() - self._looks[0][0] > FRESH_SECONDS:
            self._looks.popleft()
        if not self._looks:
            return False
        # The oldest of them asks for least.
        return not behind(positions, self._looks[0][1])

    def told(self, positions: Mapping[Place, int]) -> dict[str, Any]:
        """The fields of a replay's record. Positions stand for events: nearly every one is of an event."""
        now = time.monotonic()
        reached = dict.fromkeys(self._contexts, 0)
        for (context, _), position in positions.items():
            reached[context] = max(reached[context], position)
        done = sum(reached.values())
        self._marks.append((now, done))
        while now - self._marks[0][0] > SPEED_SECONDS:
            self._marks.popleft()
        since, before = self._marks[0]
        return {
            "done": done,
            "total": max(done, sum(max(heads) for heads in self._heads.values())),
            "speed": (done - before) / (now - since) if now > since else 0.0,
        }
