"""A context's dead letters for operators: told, retried and skipped, by the process that leads it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from nats.aio.client import Client

from infra.event_log.client import ContextUnavailable, LogClient
from infra.event_store.store import CheckpointMoved, EventStore, StoreUnavailable
from infra.messages.event_headers import Delivered
from infra.messages.events import Note
from infra.nats.request_reply import RequestServer
from infra.runtime.context import Unavailable
from infra.runtime.dead_letters.messages import (
    LONGEST_ERROR,
    PAGE,
    PAGE_BYTES,
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
from infra.runtime.dead_letters.store import DeadLetter
from infra.runtime.inbox import Inbox

AUDIT = "dead-letter-audit"
"""Notes by time: what was retried and skipped."""
SECONDS = 2.0
"""How long facts are taken for one question; the asker asks again for the rest."""


class DeadLetterService:
    """Answers `svc.<context>.dead-letters` where the inbox is at work: on the context's leader."""

    def __init__(self, nats: Client, store: EventStore, inbox: Inbox) -> None:
        self._store = store
        self._inbox = inbox
        self._log = LogClient(nats)
        self._requests = RequestServer(nats, store.context)

    async def start(self) -> None:
        """Serve from now on; raises NatsUnavailable."""
        await self._requests.serve(REQUEST, self._respond)

    async def stop(self) -> None:
        """Serve no more."""
        await self._requests.stop()

    async def _respond(self, data: bytes) -> bytes:
        try:
            return msgspec.json.encode(await self._answer(msgspec.json.decode(data, type=Request)))
        except (CheckpointMoved, ContextUnavailable, Unavailable) as error:
            # Asked again, the leader of then answers.
            raise StoreUnavailable(str(error)) from error

    async def _answer(self, asked: Request) -> KeysAnswer | FactsAnswer | SettledAnswer | AuditAnswer:
        if not self._inbox.leads:
            raise StoreUnavailable(f"the inbox of {self._store.context} has not started yet")
        match asked:
            case ListLetters():
                return self._keys(asked.after)
            case ShowLetters():
                return self._facts(asked)
            case RetryLetters():
                return await self._retry(asked.key, asked.actor)
            case SkipLetter():
                return await self._skip(asked)
            case ReadAudit():
                return await self._audit(asked.after)

    def _keys(self, after: str) -> KeysAnswer:
        keys = [key for key in self._inbox.parked if key > after]
        return KeysAnswer(
            tuple(_parked_key(self._inbox.parked.of(key)) for key in keys[:PAGE]), len(keys) > PAGE
        )

    def _facts(self, asked: ShowLetters) -> FactsAnswer:
        letters = [letter for letter in self._inbox.parked.of(asked.key) if letter.number > asked.after]
        facts: list[ParkedFact] = []
        room = PAGE_BYTES
        for letter in letters[:PAGE]:
            room -= len(msgspec.json.encode(letter))
            if room < 0 and facts:
                break
            facts.append(
                ParkedFact(
                    number=letter.number,
                    event_id=letter.event_id,
                    name=letter.name,
                    position=f"{letter.context}:{letter.position}",
                    data=letter.data,
                    error=letter.error,
                )
            )
        return FactsAnswer(tuple(facts), len(letters) > len(facts))

    async def _retry(self, key: str, actor: str) -> SettledAnswer:
        until = asyncio.get_running_loop().time() + SECONDS
        applied = 0
        while letters := self._inbox.parked.of(key):
            if applied and asyncio.get_running_loop().time() > until:
                return SettledAnswer(applied, len(letters), letters[0].event_id, more=True)
            first = letters[0]
            audit = [self._entry("retry", first, actor)] if first.error else []
            left = await self._inbox.retry(first, await self._fact(first), audit)
            if left is not None:
                return SettledAnswer(applied, len(letters), left.event_id, left.error[:LONGEST_ERROR])
            applied += 1
        return SettledAnswer(applied, 0)

    async def _skip(self, asked: SkipLetter) -> SettledAnswer:
        if not asked.reason.strip():
            raise ValueError("say why; it is kept")
        letters = self._inbox.parked.of(asked.key)
        # Asked a second time, since the first answer was lost, it is not to skip the next one.
        if letters and letters[0].event_id == asked.event_id:
            entry = self._entry("skip", letters[0], asked.actor, asked.reason)
            await self._inbox.skip(letters[0], [entry])
        return await self._retry(asked.key, asked.actor)

    async def _fact(self, letter: DeadLetter) -> Delivered:
        """A fact as its context's store has it now: it may have been mended there."""
        page = await self._log.page(letter.context, letter.position - 1, limit=1, stream=letter.stream)
        if not page.events or page.events[0].position != letter.position:
            raise ValueError(
                f"the store of {letter.context} has no event of {letter.stream} at position "
                f"{letter.position}: skip it, or restore that store"
            )
        return page.events[0]

    def _entry(self, action: str, letter: DeadLetter, actor: str, reason: str | None = None) -> Note:
        now = datetime.now(UTC)
        entry = AuditEntry(
            id=f"{now.isoformat(timespec='microseconds')} {letter.event_id}",
            at=now,
            actor=actor,
            action=action,
            key=letter.key,
            event_id=letter.event_id,
            error=letter.error[:LONGEST_ERROR],
            reason=reason,
        )
        return Note(AUDIT, entry.id, msgspec.json.encode(entry))

    async def _audit(self, after: str) -> AuditAnswer:
        notes = await self._store.notes(AUDIT)
        later = sorted(key for key in notes if key > after)
        entries = (msgspec.json.decode(notes[key], type=AuditEntry) for key in later[:PAGE])
        return AuditAnswer(tuple(entries), len(later) > PAGE)


def _parked_key(letters: Sequence[DeadLetter]) -> ParkedKey:
    first = letters[0]
    return ParkedKey(
        key=first.key,
        event_id=first.event_id,
        name=first.name,
        position=f"{first.context}:{first.position}",
        error=first.error[:LONGEST_ERROR],
        waiting=len(letters) - 1,
        parked_at=first.parked_at,
    )
