"""Questions about a context's dead letters, what an operator does about them, and the answers (JSON)."""

from __future__ import annotations

from datetime import datetime

import msgspec

REQUEST = "dead-letters"
PAGE = 200
"""Keys, facts or audit entries of one answer."""
PAGE_BYTES = 700_000
"""An answer must fit into one NATS message of 1 MB."""
LONGEST_ERROR = 2_000


class ListLetters(msgspec.Struct, frozen=True, tag="list", forbid_unknown_fields=True):
    """The parked keys after one."""

    after: str = ""


class ShowLetters(msgspec.Struct, frozen=True, tag="show", forbid_unknown_fields=True):
    """A key's facts, in order, after a number."""

    key: str
    after: int = 0


class RetryLetters(msgspec.Struct, frozen=True, tag="retry", forbid_unknown_fields=True):
    """Take a key's facts in order, as far as they can be taken."""

    key: str
    actor: str


class SkipLetter(msgspec.Struct, frozen=True, tag="skip", forbid_unknown_fields=True):
    """Never take this fact, the first of its key, and take those behind it."""

    key: str
    event_id: str
    actor: str
    reason: str


class ReadAudit(msgspec.Struct, frozen=True, tag="audit", forbid_unknown_fields=True):
    """What was retried and skipped, after an entry."""

    after: str = ""


Request = ListLetters | ShowLetters | RetryLetters | SkipLetter | ReadAudit


class ParkedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is parked: the fact that could not be taken, why, and how many wait behind it."""

    key: str
    event_id: str
    name: str
    position: str
    error: str
    waiting: int
    parked_at: datetime | None


class ParkedFact(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that is kept back; `error` is empty if it waits behind another one."""

    number: int
    event_id: str
    name: str
    position: str
    data: str
    error: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did about a fact, when and why; `error` is what was wrong with it before."""

    id: str
    at: datetime
    actor: str
    action: str
    key: str
    event_id: str
    error: str
    reason: str | None = None


class KeysAnswer(msgspec.Struct, frozen=True, tag="keys"):
    """Some parked keys; `more` follow."""

    keys: tuple[ParkedKey, ...]
    more: bool


class FactsAnswer(msgspec.Struct, frozen=True, tag="facts"):
    """Some facts of a key; `more` follow."""

    facts: tuple[ParkedFact, ...]
    more: bool


class SettledAnswer(msgspec.Struct, frozen=True, tag="settled"):
    """What came of a key: facts taken, and those that still wait; `error`: what the first of them waits for.

    `more`: there was no time for all, nothing is wrong with those that wait.
    """

    applied: int
    parked: int
    event_id: str = ""
    error: str = ""
    more: bool = False


class AuditAnswer(msgspec.Struct, frozen=True, tag="audit"):
    """Some entries; `more` follow."""

    entries: tuple[AuditEntry, ...]
    more: bool
