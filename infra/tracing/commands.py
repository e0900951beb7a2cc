"""Spans of a command: sent, and handled by its context. The sender waits, so they are client and server."""

from __future__ import annotations

from infra.commands import RETRYABLE, Accepted, Answer, Envelope
from infra.tracing.spans import OFF, SWITCH, Attributes, Kind, Span, is_sampled, unrecorded


def sending(context: str, name: str, envelope: Envelope) -> Span:
    """A command on its way, until it is answered."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    parent = envelope.traceparent
    if not is_sampled(parent):
        return unrecorded(parent)
    attributes = _attributes(context, name, envelope, "send")
    return tracer.begin(f"send {context}.{name}", Kind.CLIENT, parent, attributes)


def handling(context: str, name: str, envelope: Envelope) -> Span:
    """A command in its context: waited for others, loaded, decided, appended."""
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    parent = envelope.traceparent
    if not is_sampled(parent):
        return unrecorded(parent)
    attributes = _attributes(context, name, envelope, "process")
    return tracer.begin(f"handle {context}.{name}", Kind.SERVER, parent, attributes)


def answered(span: Span, answer: Answer) -> None:
    """Tell what became of a command; only what may be tried again is a fault."""
    if not span.recorded:
        return
    if isinstance(answer, Accepted):
        span.note("orderfold.outcome", "accepted")
        span.note("orderfold.stream", answer.stream)
        span.note("orderfold.version", answer.version)
        return
    span.note("orderfold.outcome", answer.kind.value)
    if answer.kind in RETRYABLE:
        span.fail(answer.kind.value)


def _attributes(context: str, name: str, envelope: Envelope, operation: str) -> Attributes:
    return {
        "messaging.system": "nats",
        "messaging.operation.type": operation,
        "messaging.operation.name": "send" if operation == "send" else "handle",
        "messaging.destination.name": f"cmd.{context}.{name}",
        "messaging.message.id": envelope.command_id,
        "messaging.message.conversation_id": envelope.correlation_id,
        "orderfold.context": context,
    }
