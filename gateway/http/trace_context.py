"""W3C trace context: the trace and the span that a request continues."""

from __future__ import annotations

from collections.abc import Mapping

from infra.observability.tracing.w3c import TraceContext, continued

NONE = TraceContext()


def parent_of(headers: Mapping[bytes, bytes]) -> TraceContext:
    """What a request continues; none if its `traceparent` is not valid, and a new trace is to begin."""
    traceparent = headers.get(b"traceparent")
    if traceparent is None:
        return NONE
    return continued(traceparent.decode("latin-1"), headers.get(b"tracestate", b"").decode("latin-1"))


def trace_in(traceparent: str) -> str:
    """The id of the trace."""
    return traceparent[3:35]
