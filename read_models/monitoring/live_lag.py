"""How long events have been waiting for the read models that queries read, as seen from outside.

Heads and checkpoints are looked at now and then, and the lag is told by the observer's own clock: what was
there when it looked and is not projected yet has been waiting since then at least. That asks nothing of the
contexts' stores, and two machines' clocks need not agree.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

import structlog

from infra.event_log.client import ContextUnavailable, LogClient
from infra.mongo import Mongo, MongoUnavailable, TransactionConflict
from read_models.projection import checkpoints
from read_models.projection.checkpoints import Place
from read_models.projection.model import ReadModel
from read_models.projection.versions import all_versions

LOOK_SECONDS = 0.5
KEPT = 120
"""Looks remembered: a lag of more than a minute is told as a minute."""
BUSY_SECONDS = 3.0
"""Events that came in within that time are traffic."""
STALLED_SECONDS = 15.0
"""A version that did not get on for so long is not kept up to date by anybody: nobody need give way to it."""

log = structlog.get_logger(__name__)


class LiveLag:
    """Looks at the live versions of some models, again and again."""

    def __init__(self, mongo: Mongo, contexts: LogClient, models: Collection[ReadModel[Any]]) -> None:
        self._mongo = mongo
        self._log = contexts
        self._models = {model.name: model for model in models}
        self._heads: deque[tuple[float, Mapping[Place, int]]] = deque(maxlen=KEPT)
        self._moved: dict[str, tuple[float, int]] = {}
        self._came_in = float("-inf")
        self.seconds = 0.0
        """How long the oldest event that some live version lacks has been waiting."""

    @property
    def busy(self) -> bool:
        """Whether events have come in lately."""
        return time.monotonic() - self._came_in < BUSY_SECONDS

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except (MongoUnavailable, TransactionConflict, ContextUnavailable) as error:
                log.debug("the live versions' lag is not known", reason=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once; raises MongoUnavailable and ContextUnavailable."""
        at = time.monotonic()
        heads = await self._ask_heads()
        if self._heads and heads != self._heads[-1][1]:
            self._came_in = at
        self._heads.append((at, heads))
        versions = await all_versions(self._mongo, self._models)
        positions = await checkpoints.all_positions(self._mongo)
        live = [item.live for item in versions.values()]
        self.seconds = max((self._waiting(name, positions.get(name, {})) for name in live), default=0.0)

    async def _ask_heads(self) -> dict[Place, int]:
        contexts = sorted({context for model in self._models.values() for context in model.contexts})
        found = await self._log.all_heads(contexts)
        return {
            (context, partition): head
            for context, heads in found.items()
            for partition, head in enumerate(heads)
        }

    def _waiting(self, live: str, positions: Mapping[Place, int]) -> float:
        """How long the oldest event has been waiting for this version, if anybody projects it."""
        now = time.monotonic()
        if not positions:
            return 0.0
        behind = self._behind(positions)
        reached = sum(positions.values())
        since, before = self._moved.get(live, (now, reached))
        if behind is None or reached != before:
            since = now
        self._moved[live] = since, reached
        return 0.0 if behind is None or now - since > STALLED_SECONDS else now - behind

    def _behind(self, positions: Mapping[Place, int]) -> float | None:
        """When something was first seen that is not there yet; None if everything is."""
        contexts = {context for context, _ in positions}

        def reached(heads: Mapping[Place, int]) -> bool:
            return all(
                positions.get(place, 0) >= head for place, head in heads.items() if place[0] in contexts
            )

        if reached(self._heads[-1][1]):
            return None
        return next(at for at, heads in self._heads if not reached(heads))
