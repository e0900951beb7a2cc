"""The instruments that count and time at work: of event stores, commands, projectors, MongoDB and payments.

Looking a child up by its labels costs more than counting with it: each instrument keeps its children.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from prometheus_client import Counter, Histogram

from infra.messages.commands import Answer, Refused, Repeated
from infra.messages.event_headers import Delivered
from infra.observability.metrics.registry import (
    APPEND_EVENTS,
    COMMAND_SECONDS,
    COMMANDS,
    GROUP_COMMIT_APPENDS,
    MONGO_COMMAND_SECONDS,
    MONGO_FAILURES,
    PAYMENTS_COMPARED_SECONDS,
    PAYMENTS_DIFFERING,
    PAYMENTS_MISMATCHED,
    PROJECTED_EVENTS,
    PROJECTION_DELAY_SECONDS,
    PROJECTOR_COMMIT_SECONDS,
    PROVIDER_REQUEST_SECONDS,
    PROVIDER_REQUESTS,
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


OTHER = "other"
"""A command the context does not have: what others may send is endless, label values must not be."""


class CommandMeasures:
    """The measures of one context."""

    def __init__(self, context: str, names: Collection[str]) -> None:
        self._context = context
        self._names = frozenset(names)
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def answered(self, name: str, answer: Answer, seconds: float) -> None:
        """Count one answer."""
        key = (name if name in self._names else OTHER, outcome_of(answer))
        children = self._children.get(key)
        if children is None:
            children = (
                COMMANDS.labels(self._context, *key),
                COMMAND_SECONDS.labels(self._context, key[0]),
            )
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)


def outcome_of(answer: Answer) -> str:
    """What became of a command, in a word."""
    if isinstance(answer, Refused):
        return answer.kind.value
    return "repeated" if isinstance(answer, Repeated) else "accepted"


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


FAULT = "fault"
"""It answered that it failed, answered nonsense, or could not be reached."""


class ProviderRequest:
    """One request under way; whoever has an answer says what it came to."""

    outcome = FAULT


@contextlib.contextmanager
def provider_request(operation: str) -> Iterator[ProviderRequest]:
    """Time one request; without a word about its outcome it was a fault."""
    request = ProviderRequest()
    begun = time.perf_counter()
    try:
        yield request
    finally:
        PROVIDER_REQUESTS.labels(operation, request.outcome).inc()
        PROVIDER_REQUEST_SECONDS.labels(operation).observe(time.perf_counter() - begun)


def books_compared(differing: Mapping[str, int], at: float) -> None:
    """Tell how many payments differ, by kind, and when that was found (seconds since 1970)."""
    for kind, count in differing.items():
        PAYMENTS_DIFFERING.labels(kind).set(count)
    PAYMENTS_COMPARED_SECONDS.set(at)


def payment_mismatched() -> None:
    """Count a payment that the provider did not do as it was asked."""
    PAYMENTS_MISMATCHED.inc()
