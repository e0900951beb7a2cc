"""Spans at the system's edges: an HTTP request that comes in, one that goes out, a timer that rings."""

from __future__ import annotations

from infra.tracing.spans import OFF, SWITCH, Kind, Span, Unsampled, is_sampled, within


def receiving(method: str, path: str, traceparent: str) -> Span:
    """A request to the API: it continues its sender's trace or begins one."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    if traceparent and not is_sampled(traceparent):
        return Unsampled(traceparent)
    return tracer.begin(
        method,
        Kind.SERVER,
        traceparent,
        {"http.request.method": method, "url.path": path, "url.scheme": "http"},
    )


def calling(method: str, address: str, template: str, path: str) -> Span:
    """A request to another's HTTP service, `template` being the path without ids."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    attributes = {
        "http.request.method": method,
        "server.address": address,
        "url.template": template,
        "url.path": path,
    }
    return within(tracer, f"{method} {template}", Kind.CLIENT, attributes)


def ringing(context: str, timer: str) -> Span:
    """A timer is due: time is its only cause, so it begins a trace."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    return tracer.begin(f"ring {timer}", Kind.INTERNAL, "", {"orderfold.context": context})
