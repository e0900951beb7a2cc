"""A command as a NATS message: its envelope in the headers, the bare command as the payload."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from infra.messages.commands import Answer, Envelope, Token

COMMAND_ID = "Cmd-Id"
DEADLINE = "Cmd-Deadline"
TIME = "Cmd-Time"
CORRELATION_ID = "Correlation-Id"
CAUSATION_ID = "Causation-Id"
ACTOR = "Actor"
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
EXPECTED_VERSION = "Expected-Version"
SOME_VERSION = "*"
NO_VERSION = "none"
CONSISTENCY_TOKEN = "Consistency-Token"  # noqa: S105 - the name of a header

encode_answer = msgspec.json.Encoder().encode
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def decode_answer(data: bytes) -> Answer:
    """Read an answer; raises msgspec.DecodeError."""
    return _answers.decode(data)


class EnvelopeInvalid(ValueError):
    """The headers of a command are not what they should be."""


def command_subject(context: str, name: str) -> str:
    """Where a command is sent; `name` without the context."""
    return f"cmd.{context}.{name}"


def to_headers(envelope: Envelope) -> dict[str, str]:
    """The envelope as message headers."""
    headers = {
        COMMAND_ID: envelope.command_id,
        DEADLINE: envelope.deadline.isoformat(),
        TIME: envelope.time.isoformat(),
        CORRELATION_ID: envelope.correlation_id,
        CAUSATION_ID: envelope.causation_id,
        ACTOR: envelope.actor,
    }
    if envelope.traceparent:
        headers[TRACEPARENT] = envelope.traceparent
    if envelope.tracestate:
        headers[TRACESTATE] = envelope.tracestate
    if envelope.must_exist:
        headers[EXPECTED_VERSION] = SOME_VERSION
    elif envelope.expected_versions is not None:
        headers[EXPECTED_VERSION] = ",".join(map(str, envelope.expected_versions)) or NO_VERSION
    if envelope.after:
        headers[CONSISTENCY_TOKEN] = ",".join(map(str, envelope.after))
    return headers


def from_headers(headers: Mapping[str, str] | None) -> Envelope:
    """The envelope of a command; raises EnvelopeInvalid."""
    try:
        given = headers or {}
        after = given.get(CONSISTENCY_TOKEN)
        expected = given.get(EXPECTED_VERSION, SOME_VERSION)
        return Envelope(
            command_id=given[COMMAND_ID],
            correlation_id=given[CORRELATION_ID],
            causation_id=given[CAUSATION_ID],
            actor=given[ACTOR],
            time=_instant(given[TIME]),
            deadline=_instant(given[DEADLINE]),
            traceparent=given.get(TRACEPARENT, ""),
            tracestate=given.get(TRACESTATE, ""),
            expected_versions=_versions(expected),
            must_exist=given.get(EXPECTED_VERSION) == SOME_VERSION,
            after=tuple(map(Token.parse, after.split(","))) if after else (),
        )
    except (KeyError, ValueError) as error:
        raise EnvelopeInvalid(f"the command's headers do not fit: {error}") from error


def _versions(text: str) -> tuple[int, ...] | None:
    if text == SOME_VERSION:
        return None
    return () if text == NO_VERSION else tuple(map(int, text.split(",")))


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise EnvelopeInvalid(f"{text!r} has no offset")
    return instant
