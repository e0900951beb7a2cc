"""Where dead letters are: in the versions of a read model, or in the inbox of a context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from contexts import NAMES as CONTEXTS
from gateway.cli.replay.connection import Connection
from infra.runtime.dead_letters.client import DeadLetterClient
from infra.runtime.dead_letters.messages import ParkedKey, SettledAnswer
from read_models.monitoring.verification import inbox_name
from read_models.projection import dead_letter_audit
from read_models.projection.dead_letters import DeadLetterSummary, list_parked, parked_events
from read_models.projection.model import ReadModel, instant
from read_models.projection.versions import versions_of
from read_models.registry import MODELS
from read_models.replay import dead_letter_retry
from read_models.replay.dead_letter_retry import Retried
from read_models.replay.errors import ReplayFailed

PREFIX = "context:"


class KeptBack(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is kept back, as it is shown."""

    event_id: str
    name: str
    position: str
    data: str
    time: str = ""
    actor: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did about dead letters, as it is shown."""

    at: str
    actor: str
    action: str
    collection: str
    key: str
    event_id: str
    error: str
    reason: str | None
    applied: int | None = None
    parked: int | None = None


class Letters(Protocol):
    """The dead letters of one read model or context."""

    @property
    def name(self) -> str:
        """What the read model or context is called in commands."""

    async def all(self, connection: Connection) -> list[DeadLetterSummary]:
        """A letter per key that is parked."""

    async def events(self, connection: Connection, letter: DeadLetterSummary) -> Sequence[KeptBack]:
        """A key's events in order."""

    async def retry(self, connection: Connection, letter: DeadLetterSummary, actor: str) -> Retried:
        """Take a key's events, as far as they can be taken."""

    async def skip(
        self, connection: Connection, letter: DeadLetterSummary, actor: str, reason: str
    ) -> Retried:
        """Do without a key's first event, and take those behind it."""

    async def audit(self, connection: Connection) -> Sequence[Done]:
        """What was done, the latest last."""


@dataclass(frozen=True)
class LettersOfModel:
    """In every version of a read model."""

    model: ReadModel[Any]

    @property
    def name(self) -> str:
        return self.model.name

    async def all(self, connection: Connection) -> list[DeadLetterSummary]:
        versions = (await versions_of(connection.mongo, self.name)).versions
        return [letter for version in versions for letter in await list_parked(connection.mongo, version)]

    async def events(self, connection: Connection, letter: DeadLetterSummary) -> Sequence[KeptBack]:
        return [
            KeptBack(
                event_id=event.event_id,
                name=event.name,
                position=f"{event.context}:{event.position}",
                time=instant(event.metadata.time),
                actor=event.metadata.actor,
                # As it is: what is wrong with it may be its JSON.
                data=event.data.decode(errors="replace"),
            )
            for event in await parked_events(connection.mongo, letter.collection, letter.key)
        ]

    async def retry(self, connection: Connection, letter: DeadLetterSummary, actor: str) -> Retried:
        return await dead_letter_retry.retry(connection.mongo, self.model, letter.collection, letter, actor)

    async def skip(
        self, connection: Connection, letter: DeadLetterSummary, actor: str, reason: str
    ) -> Retried:
        return await dead_letter_retry.skip(
            connection.mongo, self.model, letter.collection, letter, actor, reason
        )

    async def audit(self, connection: Connection) -> Sequence[Done]:
        found = await dead_letter_audit.audit(connection.mongo, self.name)
        return [msgspec.convert(msgspec.structs.asdict(entry), Done) for entry in found]


@dataclass(frozen=True)
class LettersOfContext:
    """In a context's inbox: facts of other contexts. Its leader tells and settles them."""

    context: str

    @property
    def name(self) -> str:
        return inbox_name(self.context)

    async def all(self, connection: Connection) -> list[DeadLetterSummary]:
        return [self._letter(parked) for parked in await DeadLetterClient(connection.nats).keys(self.context)]

    def _letter(self, parked: ParkedKey) -> DeadLetterSummary:
        return DeadLetterSummary(
            collection=self.name,
            key=parked.key,
            event_id=parked.event_id,
            name=parked.name,
            error=parked.error,
            trace=None,
            parked_at=_time(parked.parked_at),
            waiting=parked.waiting,
        )

    async def events(self, connection: Connection, letter: DeadLetterSummary) -> Sequence[KeptBack]:
        return [
            KeptBack(event_id=fact.event_id, name=fact.name, position=fact.position, data=fact.data)
            for fact in await DeadLetterClient(connection.nats).facts(self.context, letter.key)
        ]

    async def retry(self, connection: Connection, letter: DeadLetterSummary, actor: str) -> Retried:
        try:
            done = await DeadLetterClient(connection.nats).retry(self.context, letter.key, actor)
        except ValueError as refused:
            raise ReplayFailed(str(refused)) from None
        return _settled(letter, done)

    async def skip(
        self, connection: Connection, letter: DeadLetterSummary, actor: str, reason: str
    ) -> Retried:
        client = DeadLetterClient(connection.nats)
        try:
            done = await client.skip(self.context, letter.key, letter.event_id, actor, reason)
        except ValueError as refused:
            raise ReplayFailed(str(refused)) from None
        return _settled(letter, done)

    async def audit(self, connection: Connection) -> Sequence[Done]:
        return [
            Done(
                at=_time(entry.at),
                actor=entry.actor,
                action=entry.action,
                collection=self.name,
                key=entry.key,
                event_id=entry.event_id,
                error=entry.error,
                reason=entry.reason,
            )
            for entry in await DeadLetterClient(connection.nats).audit(self.context)
        ]


def letters_named(name: str) -> Letters:
    """Those of a read model, or of a context where no read model has the name; raises ReplayFailed."""
    if name in MODELS:
        return LettersOfModel(MODELS[name])
    context = name.removeprefix(PREFIX)
    if context in CONTEXTS:
        return LettersOfContext(context)
    contexts = ", ".join(map(inbox_name, sorted(CONTEXTS)))
    raise ReplayFailed(
        f"unknown read model or context {name!r}; read models are {', '.join(MODELS)}, "
        f"contexts are {contexts}"
    )


def every_letters() -> Mapping[str, Letters]:
    """Those of every read model and context, by name."""
    found: list[Letters] = [
        *(LettersOfModel(model) for model in MODELS.values()),
        *(LettersOfContext(context) for context in sorted(CONTEXTS)),
    ]
    return {letters.name: letters for letters in found}


def _settled(letter: DeadLetterSummary, done: SettledAnswer) -> Retried:
    return Retried(
        key=letter.key,
        event_id=done.event_id or letter.event_id,
        applied=done.applied,
        parked=done.parked,
        error=done.error or None,
    )


def _time(time: datetime | None) -> str:
    return "" if time is None else instant(time)
