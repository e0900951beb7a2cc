"""Spans of an event store: a stream loaded, an append, and the commit that appends share."""

from __future__ import annotations

from collections.abc import Iterable

from infra.records import Append
from infra.tracing.spans import OFF, SWITCH, Attributes, Kind, Span, together, within


def loading(context: str, stream: str) -> Span:
    """A stream read from the store."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    attributes = {**_attributes(context, "load"), "orderfold.stream": stream}
    return within(tracer, f"load {context}", Kind.CLIENT, attributes)


def appending(context: str, append: Append) -> Span:
    """An append, from its place in the queue to its answer."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    span = within(tracer, f"append {context}", Kind.CLIENT, _attributes(context, "append"))
    if span.recorded:
        span.note("orderfold.streams", [part.stream for part in append.streams])
        span.note("orderfold.events", [event.name for part in append.streams for event in part.events])
    return span


def committed(context: str, appends: Iterable[Span], appends_in_all: int, begun: int, ended: int) -> None:
    """A commit is done, of which some appends are traced; times in nanoseconds."""
    tracer = SWITCH.tracer
    if tracer is None:
        return
    attributes = {**_attributes(context, "commit"), "db.operation.batch.size": appends_in_all}
    traced = [span for span in appends if span.recorded]
    together(tracer, f"commit {context}", Kind.CLIENT, traced, attributes, begun).end(ended)


def _attributes(context: str, operation: str) -> Attributes:
    return {
        "db.system.name": "orderfold",
        "db.namespace": context,
        "db.operation.name": operation,
        "orderfold.context": context,
    }
