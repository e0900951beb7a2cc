"""A context at work on a real store: commands carried out, facts heard, everything but the wire."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
from nats.aio.client import Client

from contexts.messages import Command, Event, Rejected, Unknown
from infra.event_store.store import EventStore
from infra.messages.codec import EventCodec
from infra.messages.commands import Accepted, Answer, Envelope, RefusalKind, Refused, fingerprint
from infra.messages.events import Metadata, key_of, partition_of
from infra.runtime.command_server import CommandService
from infra.runtime.context import Context, EventSession, ReceivedEvent
from infra.runtime.inbox import Inbox
from infra.runtime.stream_cache import Streams
from tests.support.deadlines import HOLDS_SECONDS

REFUSALS: dict[type[Exception], RefusalKind] = {
    Unknown: RefusalKind.UNKNOWN,
    Rejected: RefusalKind.REJECTED,
}


class AtWork:
    """One context."""

    def __init__(self, context: Context, store: EventStore) -> None:
        self.context = context
        self.store = store
        self._codec = EventCodec(context.events)
        self.streams = Streams(store, self._codec, context.initial, context.evolve)
        # The connection is for serving over NATS, which happens elsewhere.
        inbox = Inbox(context, self.streams, Client())
        self._service = CommandService(context, Client(), self.streams, inbox, REFUSALS)
        self._heard = 0

    async def send(
        self, command: Command, command_id: str = "", *, expected_version: int | None = None
    ) -> Answer:
        """Carry a command out."""
        now = datetime.now(UTC)
        envelope = Envelope(
            command_id=command_id or str(uuid.uuid4()),
            correlation_id="correlation",
            causation_id="cause",
            actor="tester",
            time=now,
            deadline=now + timedelta(seconds=HOLDS_SECONDS),
            expected_versions=None if expected_version is None else (expected_version,),
        )
        body = msgspec.json.encode(command)
        return await self._service.carry_out(command, envelope, fingerprint(type(command).__name__, body))

    async def accept(self, command: Command) -> Accepted:
        """Carry out a command that must be accepted."""
        answer = await self.send(command)
        assert isinstance(answer, Accepted), answer
        return answer

    async def refuse(self, command: Command, kind: RefusalKind = RefusalKind.REJECTED) -> str:
        """Send a command that must be refused; why it was."""
        answer = await self.send(command)
        assert isinstance(answer, Refused), answer
        assert answer.kind is kind
        return answer.rule

    async def hear(self, context: str, stream: str, *events: Event) -> None:
        """Have the context hear facts of another one, all in one batch."""
        assert self.context.react is not None
        facts = []
        for event in events:
            self._heard += 1
            metadata = Metadata(
                time=datetime.now(UTC), causation_id="cause", correlation_id="correlation", actor="tester"
            )
            place = partition_of(key_of(stream))
            facts.append(ReceivedEvent(context, event, stream, self._heard, self._heard, place, metadata))
        await self._react(facts)

    async def _react(self, facts: Sequence[ReceivedEvent]) -> None:
        assert self.context.react is not None
        async with EventSession(self.streams) as session:
            await self.context.react(session, facts)
            await session.commit()

    async def events(self, stream: str) -> list[Event]:
        """What the store holds of a stream."""
        return [self._codec.decode(it.name, it.data) for it in await self.store.load(stream)]


@asynccontextmanager
async def at_work(context: Context, url: str) -> AsyncIterator[AtWork]:
    """A context at work on the store at `url`, as if its process had just been started."""
    store = await EventStore.open(context.name, url)
    try:
        yield AtWork(context, store)
    finally:
        await store.close()
