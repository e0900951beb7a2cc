"""Spans at the system's edges: an HTTP request that comes in, one that goes out, a timer that rings."""

from __future__ import annotations

from infra.observability.tracing.spans import OFF, SWITCH, Kind, Span, current_span, is_sampled, unrecorded


def receiving(method: str, path: str, traceparent: str, tracestate: str = "") -> Span:
    """A request to the API: it continues its sender's trace or begins one."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    if traceparent and not is_sampled(traceparent):
        return unrecorded(traceparent)
    attributes = {"http.request.method": method, "url.path": path, "url.scheme": "http"}
    return tracer.begin(method, Kind.SERVER, traceparent, attributes, tracestate=tracestate)


def calling(service: str, operation: str, path: str) -> Span:
    """A POST to somebody else's service."""
    tracer, current = SWITCH.tracer, current_span()
    if tracer is None or not current.recorded:
        return OFF
    attributes = {"http.request.method": "POST", "url.path": path, "service.peer.name": service}
    return tracer.begin(f"call {service} {operation}", Kind.CLIENT, current.traceparent, attributes)


def responded(span: Span, status: int) -> None:
    """Tell how a request was answered; what its sender did wrong is no fault of whoever answers."""
    if span.recorded:
        span.note("http.response.status_code", status)
        if status >= 500:
            span.fail(str(status))


def ringing(context: str, timer: str) -> Span:
    """A timer is due: time is its only cause, so it begins a trace."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    return tracer.begin(f"ring {timer}", Kind.INTERNAL, "", {"orderfold.context": context})
