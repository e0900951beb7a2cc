"""One line of the log for each command a context was sent: which, about what, and what became of it."""

from __future__ import annotations

from typing import Any

import structlog

from infra.commands import Answer, Envelope
from infra.log import trace_of
from infra.metrics_commands import outcome_of

log = structlog.get_logger(__name__)


def concerning(envelope: Envelope, command: Any) -> None:
    """Have everything this task logs from now on name what the command is about."""
    structlog.contextvars.bind_contextvars(
        correlation_id=envelope.correlation_id,
        order_id=getattr(command, "order_id", None),
        trace_id=trace_of(envelope.traceparent),
    )


def answered(name: str, answer: Answer, seconds: float) -> None:
    """Write the line of a command: its name and its outcome, neither its content nor a refusal's words."""
    log.info("command", command=name, outcome=outcome_of(answer), milliseconds=round(seconds * 1_000, 1))
