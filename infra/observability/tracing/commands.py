"""Spans of a command: sent, and handled by its context. The sender waits, so they are client and server."""

from __future__ import annotations

from infra.messages.commands import RETRYABLE, Accepted, Answer, Envelope
from infra.observability.tracing.spans import OFF, SWITCH, Attributes, Kind, Span, is_sampled, unrecorded


def sending(context: str, name: str, envelope: Envelope) -> Span:
    """A command on its way, until it is answered."""
    return _begun("send", Kind.CLIENT, context, name, envelope)


def handling(context: str, name: str, envelope: Envelope) -> Span:
    """A command in its context: waited for others, loaded, decided, appended."""
    return _begun("handle", Kind.SERVER, context, name, envelope)


def _begun(operation: str, kind: Kind, context: str, name: str, envelope: Envelope) -> Span:
    tracer = SWITCH.tracer
    if tracer is None:
        return OFF
    parent = envelope.traceparent
    if not is_sampled(parent):
        return unrecorded(parent)
    attributes = _attributes(context, name, envelope, operation)
    return tracer.begin(
        f"{operation} {context}.{name}", kind, parent, attributes, tracestate=envelope.tracestate
    )


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
        # What the conventions call it when somebody handles a message.
        "messaging.operation.type": "process" if operation == "handle" else operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": f"cmd.{context}.{name}",
        "messaging.message.id": envelope.command_id,
        "messaging.message.conversation_id": envelope.correlation_id,
        "orderfold.context": context,
    }
