"""W3C trace context, read and written by OpenTelemetry's propagator; the SDK is not imported."""

from __future__ import annotations

import logging

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()

# It warns of each header it ignores, and quotes it: clients could fill the log.
logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)


class TraceContext(msgspec.Struct, frozen=True):
    """The span that a request continues, and what vendors keep with it; empty if there is none."""

    traceparent: str = ""
    tracestate: str = ""


def read(traceparent: str, tracestate: str = "") -> SpanContext:
    """The span the headers name; an invalid one, which is nobody's parent, if they name none."""
    within = _propagator.extract({"traceparent": traceparent, "tracestate": tracestate}, Context())
    return get_current_span(within).get_span_context()


def written(context: SpanContext) -> TraceContext:
    """How a span is named to others."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(NonRecordingSpan(context), Context()))
    return msgspec.convert(carrier, TraceContext)


def continued(traceparent: str, tracestate: str) -> TraceContext:
    """What a request's headers are passed on as: a later version in what version 00 has of it."""
    return written(read(traceparent, tracestate))
