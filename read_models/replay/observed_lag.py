"""How long events have been waiting for the live read models, measured by a replay that must not slow them.

`monitoring.lag` compares each checkpoint with the heads; the time is this process's: an event that was there
at a look and is not projected yet has been waiting since then at least. So a replay does not yield for ever
where two machines' clocks differ, and nothing is counted in the contexts' stores twice a second.
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
from read_models.monitoring.lag import Heads, behind
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


class ObservedLag:
    """Looks at the live versions of some models, again and again."""

    def __init__(self, mongo: Mongo, contexts: LogClient, models: Collection[ReadModel[Any]]) -> None:
        self._mongo = mongo
        self._log = contexts
        self._models = {model.name: model for model in models}
        self._contexts = sorted({context for model in models for context in model.contexts})
        self._heads: deque[tuple[float, Heads]] = deque(maxlen=KEPT)
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
                log.debug("lag of the live versions unknown", reason=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once; raises MongoUnavailable and ContextUnavailable."""
        at = time.monotonic()
        heads = await self._log.all_heads(self._contexts)
        if self._heads and heads != self._heads[-1][1]:
            self._came_in = at
        self._heads.append((at, heads))
        versions = await all_versions(self._mongo, self._models)
        positions = await checkpoints.all_positions(self._mongo)
        live = [item.live for item in versions.values()]
        self.seconds = max((self._waiting(name, positions.get(name, {})) for name in live), default=0.0)

    def _waiting(self, live: str, positions: Mapping[Place, int]) -> float:
        """How long the oldest event has been waiting for this version, if anybody projects it."""
        now = time.monotonic()
        if not positions:
            return 0.0
        missing_since = self._missing_since(positions)
        reached = sum(positions.values())
        since, before = self._moved.get(live, (now, reached))
        if missing_since is None or reached != before:
            since = now
        self._moved[live] = since, reached
        return 0.0 if missing_since is None or now - since > STALLED_SECONDS else now - missing_since

    def _missing_since(self, positions: Mapping[Place, int]) -> float | None:
        """When something was first seen that is not there yet; None if everything is."""
        contexts = {context for context, _ in positions}

        def late(heads: Heads) -> bool:
            return bool(behind(positions, {name: ends for name, ends in heads.items() if name in contexts}))

        if not late(self._heads[-1][1]):
            return None
        return next(at for at, heads in self._heads if late(heads))
