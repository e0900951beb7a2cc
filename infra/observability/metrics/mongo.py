"""Times what a process asks of MongoDB, by kind of command."""

from __future__ import annotations

from typing import ClassVar

from prometheus_client import Counter, Histogram

from infra.observability.metrics.registry import MONGO_COMMAND_SECONDS, MONGO_FAILURES


class MongoMeasures:
    """The measures of one kind of command."""

    _all: ClassVar[dict[str, MongoMeasures]] = {}

    def __init__(self, command: str) -> None:
        self.seconds: Histogram = MONGO_COMMAND_SECONDS.labels(command)
        self.failures: Counter = MONGO_FAILURES.labels(command)

    @classmethod
    def of(cls, command: str) -> MongoMeasures:
        """Made at the first command of the kind."""
        found = cls._all.get(command)
        if found is None:
            found = cls._all[command] = cls(command)
        return found
