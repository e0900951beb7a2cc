"""Events of types that a reader's build does not know: counted and told, for a newer build has recorded them.

Readers hear some types on purpose and pass others over. One that no part of the build knows is another thing:
its reader may lack something. A read model is built anew after its upgrade; an inbox parks the event.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import structlog

from infra.messages.event_headers import Delivered
from infra.observability.metrics.registry import UNKNOWN_EVENTS

log = structlog.get_logger(__name__)


class UnknownEvents:
    """What one reader meets; each type is logged once, every event is counted."""

    def __init__(self, reader: str, known: Mapping[str, Collection[str]], remedy: str) -> None:
        """`known`: the wire names the build knows, by context; of others nothing is said."""
        self._reader = reader
        self._known = known
        self._remedy = remedy
        self._told: set[str] = set()
        # There from the start, so that the first one is a change.
        self._count = UNKNOWN_EVENTS.labels(reader)

    def is_unknown(self, event: Delivered) -> bool:
        """Whether no part of the build knows events of this type."""
        known = self._known.get(event.context)
        return known is not None and event.name not in known

    def look(self, events: Iterable[Delivered]) -> None:
        """Count and tell those of unknown types."""
        for event in filter(self.is_unknown, events):
            self._count.inc()
            if event.name not in self._told:
                self._told.add(event.name)
                log.error(
                    "event of an unknown type",
                    reader=self._reader,
                    name=event.name,
                    fact=event.event_id,
                    remedy=self._remedy,
                )
