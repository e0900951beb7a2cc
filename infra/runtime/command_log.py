"""One line of the log for each command a context was sent: which, about what, and what became of it."""

from __future__ import annotations

from typing import Any

import structlog

from infra.messages.commands import Accepted, Answer, Envelope
from infra.observability.logging.setup import trace_of
from infra.observability.metrics.commands import outcome_of
from infra.settings import WhatIsLogged

log = structlog.get_logger(__name__)


class CommandLog:
    """Which commands of a context get a line; what is logged while one is carried out always names it."""

    def __init__(self, context: str, wanted: WhatIsLogged) -> None:
        self._context = context
        self._wanted = wanted

    def concerns(self, envelope: Envelope, command: Any) -> None:
        """Have everything this task logs from now on name what the command is about."""
        bind = structlog.contextvars.bind_contextvars
        bind(correlation_id=envelope.correlation_id, order_id=getattr(command, "order_id", None))
        if envelope.traceparent:
            bind(trace_id=trace_of(envelope.traceparent))

    def answered(self, name: str, answer: Answer, seconds: float) -> None:
        """Write a command's line: its name and its outcome, neither its content nor a refusal's words."""
        if self._wanted == "on" or (self._wanted == "errors" and not isinstance(answer, Accepted)):
            log.info(
                "command",
                command=f"{self._context}.{name}",
                outcome=outcome_of(answer),
                milliseconds=round(seconds * 1_000, 1),
            )
