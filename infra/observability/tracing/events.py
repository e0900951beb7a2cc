"""Spans of events on their way: published, heard and projected, each in the trace it belongs to.

All three happen in batches. A batch of several traced events has a span of its own, linked with theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Protocol

import msgspec

from infra.messages.events import Metadata
from infra.observability.tracing.spans import (
    OFF,
    SWITCH,
    Attributes,
    Kind,
    Span,
    Tracer,
    Value,
    is_sampled,
    together,
)

TRACED_FOR = timedelta(hours=1)
"""An older event is being caught up with, or replayed: the trace it belongs to is over."""


class Event(Protocol):
    """What an event's span tells of it, whether it was just recorded or has been delivered."""

    @property
    def stream(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def metadata(self) -> Metadata: ...


class Named(Event, Protocol):
    """An event whose wire name is known."""

    @property
    def name(self) -> str: ...


class ReceivedEvent(Event, Protocol):
    """A fact from another context."""

    @property
    def context(self) -> str: ...
    @property
    def event(self) -> msgspec.Struct: ...


class Together:
    """The spans of a batch's events, and the one of the batch, which is the current one meanwhile."""

    def __init__(self, batch: Span, events: Sequence[Span]) -> None:
        self._batch = batch
        self._events = events

    def __enter__(self) -> None:
        self._batch.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for span in self._events:
            if kind is not None:
                span.fail(kind.__name__)
            span.end()
        self._batch.__exit__(kind, error, trace)


Batch = AbstractContextManager[object]


def publishing(context: str, events: Sequence[Named], headers: Sequence[dict[str, str]]) -> Batch:
    """Events go to their stream; in `headers`, whoever gets them is told to continue from here."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    stream = f"EV_{context}"
    spans: list[Span] = []
    since = datetime.now(UTC) - TRACED_FOR
    for event, fields in zip(events, headers, strict=True):
        if _is_traced(event, since):
            attributes = _attributes("send", "publish", stream, event)
            span = tracer.begin(
                f"publish {event.name}", Kind.PRODUCER, event.metadata.traceparent, attributes
            )
            span.carry(fields)
            spans.append(span)
    return _together(tracer, f"publish {context}", Kind.PRODUCER, spans, ("send", stream, len(events)))


def handling_events(context: str, facts: list[Any]) -> Batch:
    """A context takes facts. They are replaced in `facts`: what is decided on one follows its span."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    group = f"{context}-inbox"
    spans: list[Span] = []
    since = datetime.now(UTC) - TRACED_FOR
    for index, fact in enumerate(facts):
        if _is_traced(fact, since):
            name = str(fact.event.__struct_config__.tag)
            attributes = _attributes("process", "hear", f"EV_{fact.context}", fact, group)
            span = tracer.begin(f"hear {name}", Kind.CONSUMER, fact.metadata.traceparent, attributes)
            metadata = msgspec.structs.replace(fact.metadata, traceparent=span.traceparent)
            facts[index] = msgspec.structs.replace(fact, metadata=metadata)
            spans.append(span)
    return _together(tracer, f"hear {group}", Kind.CONSUMER, spans, ("process", group, len(facts)))


def projecting(collection: str, events: Iterable[Named]) -> Batch:
    """A read model takes events in one transaction; asked for them only if tracing is on."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    spans: list[Span] = []
    count = 0
    since = datetime.now(UTC) - TRACED_FOR
    for event in events:
        count += 1
        if _is_traced(event, since):
            stream = f"EV_{event.name.partition('.')[0]}"
            attributes = {
                **_attributes("process", "project", stream, event, f"rm-{collection}"),
                "db.system.name": "mongodb",
                "db.collection.name": collection,
                "orderfold.event": event.name,
            }
            parent = event.metadata.traceparent
            spans.append(tracer.begin(f"project {collection}", Kind.CONSUMER, parent, attributes))
    return _together(tracer, f"project {collection}", Kind.CONSUMER, spans, ("process", collection, count))


def _is_traced(event: Event, since: datetime) -> bool:
    return is_sampled(event.metadata.traceparent) and event.metadata.time >= since


def _together(
    tracer: Tracer, name: str, kind: Kind, spans: Sequence[Span], batch: tuple[str, str, int]
) -> Batch:
    if not spans:
        return OFF
    if len(spans) == 1:
        return spans[0]
    operation, destination, size = batch
    attributes: dict[str, Value] = {
        "messaging.system": "nats",
        "messaging.operation.type": operation,
        "messaging.operation.name": name.partition(" ")[0],
        "messaging.destination.name": destination,
        "messaging.batch.message_count": size,
    }
    return Together(together(tracer, f"{name} (batch)", kind, spans, attributes), spans)


def _attributes(kind: str, operation: str, stream: str, event: Event, group: str = "") -> Attributes:
    attributes: dict[str, Value] = {
        "messaging.system": "nats",
        "messaging.operation.type": kind,
        "messaging.operation.name": operation,
        "messaging.destination.name": stream,
        "messaging.message.id": f"{event.stream}@{event.version}",
        "messaging.message.conversation_id": event.metadata.correlation_id,
        "orderfold.stream": event.stream,
        "orderfold.position": event.position,
    }
    if group:
        attributes["messaging.consumer.group.name"] = group
    return attributes
