"""Asks a context for its dead letters, and has it retry or skip them."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from nats.aio.client import Client

from infra.nats.request_reply import request_with_retry
from infra.runtime.dead_letters.messages import (
    REQUEST,
    AuditAnswer,
    AuditEntry,
    FactsAnswer,
    KeysAnswer,
    ListLetters,
    ParkedFact,
    ParkedKey,
    ReadAudit,
    Request,
    RetryLetters,
    SettledAnswer,
    ShowLetters,
    SkipLetter,
)

T = TypeVar("T")


class DeadLetterClient:
    """Speaks with the leaders of contexts.

    Every method raises ContextUnavailable if no process leads the context, and ValueError with the reason if
    it refuses.
    """

    def __init__(self, nats: Client, *, timeout: float = 10.0) -> None:
        self._nats = nats
        self._timeout = timeout

    async def keys(self, context: str) -> list[ParkedKey]:
        """The keys that are parked, sorted."""
        found: list[ParkedKey] = []
        while True:
            page = await self._ask(context, ListLetters(found[-1].key if found else ""), KeysAnswer)
            found += page.keys
            if not page.more:
                return found

    async def facts(self, context: str, key: str) -> list[ParkedFact]:
        """A key's facts in the order they came."""
        found: list[ParkedFact] = []
        while True:
            page = await self._ask(context, ShowLetters(key, found[-1].number if found else 0), FactsAnswer)
            found += page.facts
            if not page.more:
                return found

    async def retry(self, context: str, key: str, actor: str) -> SettledAnswer:
        """Take a key's facts in order, as far as they can be taken."""
        applied = 0
        while True:
            done = await self._ask(context, RetryLetters(key, actor), SettledAnswer)
            applied += done.applied
            if not done.more:
                return msgspec.structs.replace(done, applied=applied)

    async def skip(self, context: str, key: str, event_id: str, actor: str, reason: str) -> SettledAnswer:
        """Never take a key's first fact, and take those behind it."""
        done = await self._ask(context, SkipLetter(key, event_id, actor, reason), SettledAnswer)
        if not done.more:
            return done
        rest = await self.retry(context, key, actor)
        return msgspec.structs.replace(rest, applied=done.applied + rest.applied)

    async def audit(self, context: str) -> list[AuditEntry]:
        """What was retried and skipped, the latest last."""
        found: list[AuditEntry] = []
        while True:
            page = await self._ask(context, ReadAudit(found[-1].id if found else ""), AuditAnswer)
            found += page.entries
            if not page.more:
                return found

    async def _ask(self, context: str, request: Request, kind: type[T]) -> T:
        data = await request_with_retry(
            self._nats, context, REQUEST, msgspec.json.encode(request), timeout=self._timeout
        )
        return msgspec.json.decode(data, type=kind)
