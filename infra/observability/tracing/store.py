"""Spans of an event store: a stream loaded, an append, and the commit that appends share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from infra.messages.events import Append
from infra.observability.tracing.spans import OFF, SWITCH, Attributes, Kind, Span, current_span, together


class Waiting(Protocol):
    """An append that waits to be committed."""

    @property
    def span(self) -> Span:
        """What it belongs to."""


def loading(context: str, stream: str, *, shared: bool) -> Span:
    """A stream read from the store; `shared` is what other processes may use, too: PostgreSQL."""
    tracer, current = SWITCH.tracer, current_span()
    if tracer is None or not current.recorded:
        return OFF
    attributes = {**_attributes(context, "load", shared), "orderfold.stream": stream}
    return tracer.begin(f"load {context}", Kind.CLIENT, current.traceparent, attributes)


def appending(context: str, append: Append, *, shared: bool) -> Span:
    """An append, from its place in the queue to its answer."""
    tracer, current = SWITCH.tracer, current_span()
    if tracer is None or not current.recorded:
        return OFF
    attributes = {
        **_attributes(context, "append", shared),
        "orderfold.streams": [part.stream for part in append.streams],
        "orderfold.events": [event.name for part in append.streams for event in part.events],
    }
    return tracer.begin(f"append {context}", Kind.CLIENT, current.traceparent, attributes)


def committing(context: str, group: Sequence[Waiting]) -> Span:
    """The one transaction of all appends that waited; on the thread that writes it."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    traced = [waiting.span for waiting in group if waiting.span.recorded]
    if not traced:
        return OFF
    attributes: Attributes = {"orderfold.context": context, "orderfold.appends": len(group)}
    return together(tracer, f"commit {context}", Kind.INTERNAL, traced, attributes)


def _attributes(context: str, operation: str, shared: bool) -> Attributes:  # noqa: FBT001 - as above
    return {
        "db.system.name": "postgresql" if shared else "sqlite",
        "db.namespace": context,
        "db.operation.name": operation,
        "orderfold.context": context,
    }
