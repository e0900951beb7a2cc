"""Counts and times what the projectors of one read model commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from infra.messages.event_headers import Delivered
from infra.observability.metrics.registry import (
    PROJECTED_EVENTS,
    PROJECTION_DELAY_SECONDS,
    PROJECTOR_COMMIT_SECONDS,
)


class ProjectorMeasures:
    """The measures of one model, all its versions together."""

    def __init__(self, model: str) -> None:
        self._events = PROJECTED_EVENTS.labels(model)
        self._commit_seconds = PROJECTOR_COMMIT_SECONDS.labels(model)
        self._delay_seconds = PROJECTION_DELAY_SECONDS.labels(model)

    def committed(self, events: Sequence[Delivered], seconds: float) -> None:
        """These events are in the read model; their transaction took so long."""
        self._events.inc(len(events))
        self._commit_seconds.observe(seconds)
        if events:
            oldest = min([event.metadata.time for event in events])
            self._delay_seconds.observe(max(0.0, (datetime.now(UTC) - oldest).total_seconds()))
