"""Commands on the wire: what goes with one, and how it is answered."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum

import msgspec

from infra.messages.events import PARTITIONS


class TokenInvalid(ValueError):
    """Text that is no consistency token."""


class Token(msgspec.Struct, frozen=True):
    """A consistency token, `ordering:42.7`: a position of a context's log, and its partition."""

    context: str
    position: int
    partition: int

    def __str__(self) -> str:
        return f"{self.context}:{self.position}.{self.partition}"

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read one token; raises TokenInvalid."""
        context, _, place = text.strip().partition(":")
        position, _, partition = place.partition(".")
        numbers = position.isdecimal() and partition.isdecimal()
        if len(text) > 80 or not (text.isascii() and context.isidentifier() and numbers):
            msg = f"{text[:80]!r} is no consistency token"
            raise TokenInvalid(msg)
        if int(partition) >= PARTITIONS:
            msg = f"partition {partition} does not exist (0-{PARTITIONS - 1})"
            raise TokenInvalid(msg)
        return cls(context, int(position), int(partition))


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with a command: who sends it, why, when, until when, and after what.

    `command_id` is the idempotency key. `expected_versions` refuses the command unless its stream stands at
    one of them, `must_exist` while nothing stands there yet. The command waits until its context has heard
    everything up to the tokens in `after`.
    """

    command_id: str
    correlation_id: str
    causation_id: str
    actor: str
    time: datetime
    deadline: datetime
    traceparent: str = ""
    tracestate: str = ""
    expected_versions: tuple[int, ...] | None = None
    must_exist: bool = False
    after: tuple[Token, ...] = ()


class RefusalKind(StrEnum):
    """Why a command was not carried out. The last three may be tried again as they are."""

    REJECTED = "rejected"
    """A rule of the context."""
    UNKNOWN = "unknown"
    """The thing it addresses does not exist."""
    INVALID = "invalid"
    """It is not a command this context has, or a value does not fit."""
    REUSED = "reused"
    """Its id belongs to another command."""
    STALE = "stale"
    """The stream stands at no version that was expected."""
    EXPIRED = "expired"
    """It came after its deadline."""
    BEHIND = "behind"
    """What it was to wait for was not heard in time."""
    BUSY = "busy"
    """Too many commands are under way."""
    UNAVAILABLE = "unavailable"
    """Something it needs did not answer; whether it was carried out may be unknown until it is sent again."""


RETRYABLE = frozenset({RefusalKind.EXPIRED, RefusalKind.BEHIND, RefusalKind.BUSY, RefusalKind.UNAVAILABLE})
"""Sent again with the same id, such a command may yet be carried out, and is never carried out twice."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """Carried out: its stream stands at `version`, whose last event is at `position` in `partition`."""

    stream: str
    version: int
    position: int
    partition: int


class Repeated(Accepted, frozen=True, tag="accepted"):
    """Had been carried out before: on the wire the first answer again."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Not carried out; nothing changed. `rule` says why in a sentence, `field` what does not fit."""

    kind: RefusalKind
    rule: str
    version: int = 0
    field: str = ""

    @property
    def retryable(self) -> bool:
        """Whether the same command with the same id may be carried out later."""
        return self.kind in RETRYABLE


Answer = Accepted | Refused


def fingerprint(name: str, body: bytes) -> bytes:
    """What tells two commands with one id apart: 16 bytes of BLAKE2b over the name and the body as sent."""
    return hashlib.blake2b(name.encode() + b"\n" + body, digest_size=16).digest()
