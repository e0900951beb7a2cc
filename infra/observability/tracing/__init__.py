"""Traces: what one request set off, from HTTP to the last document, in every process; off unless asked for.

Each hop has a function here, used as `with tracing.sending(…) as span`. While tracing is off they all give
back the same span that does nothing, and OpenTelemetry's SDK is not even imported. A trace's parts find each
other by `traceparent` (W3C), which commands carry in their headers and events in their metadata: a process
that begins a span passes on the span's own. A client's `tracestate` goes with its command as far as the
context. A trace that was not sampled where it began makes no spans anywhere.
"""

from __future__ import annotations

from infra.observability.tracing.commands import answered, handling, sending
from infra.observability.tracing.events import handling_events, projecting, publishing
from infra.observability.tracing.process import exporting, tracing_is_on
from infra.observability.tracing.requests import calling, receiving, responded, ringing
from infra.observability.tracing.spans import OFF, Span, current_span, current_trace_id
from infra.observability.tracing.store import appending, committing, loading

__all__ = [
    "OFF",
    "Span",
    "answered",
    "appending",
    "calling",
    "committing",
    "current_span",
    "current_trace_id",
    "exporting",
    "handling",
    "handling_events",
    "loading",
    "projecting",
    "publishing",
    "receiving",
    "responded",
    "ringing",
    "sending",
    "tracing_is_on",
]
