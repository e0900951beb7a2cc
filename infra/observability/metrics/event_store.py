"""Counts and times what one context's event store writes and reads."""

from __future__ import annotations

from infra.observability.metrics.registry import (
    APPEND_EVENTS,
    GROUP_COMMIT_APPENDS,
    STORE_COMMIT_SECONDS,
    STORE_READ_SECONDS,
)


class StoreMeasures:
    """The measures of one store, which its threads may use at once."""

    def __init__(self, context: str) -> None:
        self.append_events = APPEND_EVENTS.labels(context).observe
        self.group_commit_appends = GROUP_COMMIT_APPENDS.labels(context).observe
        self.commit_seconds = STORE_COMMIT_SECONDS.labels(context).observe
        self.read_seconds = STORE_READ_SECONDS.labels(context).observe
