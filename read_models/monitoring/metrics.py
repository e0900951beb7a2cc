"""What is told of the read models when metrics are asked for: lag, dead letters, fulfilments under way.

Every process that reads the database tells the same of all partitions, so that somebody still tells it when a
projector is gone: of several answers the largest is right, never their sum.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from contexts.fulfilment.events import TERMINAL, Stage
from infra.event_log.client import LogClient
from infra.observability.health.monitor import Monitor
from infra.observability.metrics.gauges import (
    DEAD_LETTERS,
    DOCUMENTS_LOST,
    FULFILMENT_OLDEST_SECONDS,
    FULFILMENTS,
    FULFILMENTS_STUCK,
    PROJECTOR_LAG_EVENTS,
    PROJECTOR_LAG_SECONDS,
    Sample,
)
from read_models import fulfilments
from read_models.monitoring.lag import live_lag
from read_models.projection import dead_letters, losses
from read_models.projection.documents import ReadModels
from read_models.projection.versions import all_versions
from read_models.registry import MODELS

UNDER_WAY = tuple(stage for stage in Stage if stage not in TERMINAL)


class ReadModelFigures:
    """Looks at the documents that queries read."""

    def __init__(self, models: ReadModels, log: Callable[[], LogClient]) -> None:
        """`log` gives the way to the contexts there is at the moment."""
        self._models = models
        self._log = log

    def join(self, monitor: Monitor) -> None:
        """Be looked up with the monitor's other figures."""
        for look in (self.lags, self.dead_letters, self.losses, self.fulfilments):
            monitor.look(look)

    async def lags(self) -> list[Sample]:
        """How far each model is behind the logs of those contexts that answer."""
        log = self._log()
        found = await asyncio.gather(*(live_lag(self._models, log, name) for name in MODELS))
        samples = []
        for name, by_context in zip(MODELS, found, strict=True):
            answered = [lags for lags in by_context.values() if lags is not None]
            if answered:
                lags = [lag for lags in answered for lag in lags]
                seconds = max((lag.seconds for lag in lags), default=0.0)
                samples.append(Sample(PROJECTOR_LAG_EVENTS, (name,), float(sum(lag.events for lag in lags))))
                samples.append(Sample(PROJECTOR_LAG_SECONDS, (name,), seconds))
        return samples

    async def dead_letters(self) -> list[Sample]:
        """How many events each model keeps back, in all its versions."""
        counts = dict.fromkeys(MODELS, 0)
        groups = [{"$group": {"_id": "$collection", "events": {"$sum": 1}}}]
        for item in await self._models.mongo.aggregate(dead_letters.DEAD_LETTERS, groups):
            name = item["_id"].partition("@")[0]
            counts[name] = counts.get(name, 0) + item["events"]
        return [Sample(DEAD_LETTERS, (name,), float(events)) for name, events in counts.items()]

    async def losses(self) -> list[Sample]:
        """Whether documents or checkpoints of a model, in any of its versions, were deleted by hand."""
        versions = await all_versions(self._models.mongo, MODELS)
        found = []
        for name, its in versions.items():
            contexts = MODELS[name].contexts
            lost = [await losses.find_loss(self._models.mongo, version, contexts) for version in its.versions]
            found.append(Sample(DOCUMENTS_LOST, (name,), float(any(lost))))
        return found

    async def fulfilments(self) -> list[Sample]:
        """How many fulfilments are under way at each stage, and for how long."""
        found = await self._models.aggregate(
            fulfilments.FULFILMENTS,
            [
                {"$match": {"stage": {"$in": [stage.value for stage in UNDER_WAY]}}},
                {"$group": {"_id": "$stage", "n": {"$sum": 1}, "oldest": {"$min": "$waiting_since"}}},
            ],
        )
        stuck = await self._models.aggregate(
            fulfilments.FULFILMENTS,
            [{"$match": {"stuck": True}}, {"$group": {"_id": None, "n": {"$sum": 1}}}],
        )
        by_stage = {item["_id"]: item for item in found}
        samples = [Sample(FULFILMENTS_STUCK, (), float(stuck[0]["n"] if stuck else 0))]
        for stage in UNDER_WAY:
            item: Mapping[str, Any] = by_stage.get(stage.value, {})
            samples.append(Sample(FULFILMENTS, (stage.value,), float(item.get("n", 0))))
            samples.append(Sample(FULFILMENT_OLDEST_SECONDS, (stage.value,), _age(item.get("oldest"))))
        return samples


def _age(since: str | None) -> float:
    if since is None:
        return 0.0
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
