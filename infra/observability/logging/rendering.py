"""What a log line consists of, and how it is written as JSON: the agreed fields first, no secret in it."""

from __future__ import annotations

import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from infra.observability.logging.redaction import described, traced
from infra.observability.tracing.spans import current_trace_id

Fields = MutableMapping[str, Any]

WHERE_KNOWN = ("trace_id", "correlation_id", "order_id")
"""The agreed fields that a line may lack; every line has `time`, `level`, `service` and `event`."""

PASSWORD = re.compile(rb"(://[^\s/@:\"]*):[^\s/@\"]*@|(\bpassword=)[^\s&\"]*")
"""In an address: after its user, or among its parameters."""


class Completed:
    """Adds what a line is to have beside what it says.

    The service is the process's own, unless something nearer has named one: a process may run several.
    """

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _: Any, level: str, fields: Fields) -> Fields:
        line: dict[str, Any] = {
            "time": datetime.now(UTC),
            "level": level,
            "service": fields.pop("service", None) or self._service,
            "event": fields.pop("event"),
        }
        # The span under way is nearer than the one that came with the message.
        trace_id = current_trace_id()
        if trace_id:
            fields["trace_id"] = trace_id
        for name in WHERE_KNOWN:
            value = fields.pop(name, None)
            if value:
                line[name] = value
        if "exc_info" in fields:
            add_exception(fields)
        line.update(fields)
        return line


def add_exception(fields: Fields) -> None:
    """Tell the exception that came with a line, without what it may quote."""
    given = fields.pop("exc_info")
    error = sys.exception() if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        fields["exception"] = traced(error)


def as_json(_: Any, __: str, fields: Fields) -> bytes:
    """One line of JSON, with its end."""
    line = msgspec.json.encode(fields, enc_hook=_unknown) + b"\n"
    return PASSWORD.sub(_without_password, line) if b"://" in line else line


def _without_password(found: re.Match[bytes]) -> bytes:
    return found[1] + b":***@" if found[1] else found[2] + b"***"


def _unknown(value: Any) -> str:
    """A value JSON has no form for; its own words may quote anything."""
    return described(value) if isinstance(value, BaseException) else f"<{type(value).__name__}>"
