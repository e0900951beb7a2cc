"""W3C trace context: the trace and the span that a request continues."""

from __future__ import annotations

import re

FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
NO_TRACE = b"0" * 32
NO_SPAN = b"0" * 16


def parent_of(given: bytes) -> str:
    """A request's `traceparent` in version 00; empty if it is none, and a new trace is to begin.

    Of a later version the four known fields are read, as the standard has it.
    """
    found = FORM.fullmatch(given)
    if found is None:
        return ""
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more) or trace == NO_TRACE or span == NO_SPAN:
        return ""
    return f"00-{trace.decode()}-{span.decode()}-{flags.decode()}"


def trace_in(traceparent: str) -> str:
    """The id of the trace."""
    return traceparent[3:35]
