"""The fulfilment process on a real store and nats-server, among contexts that answer as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from contexts.fulfilment.events import FulfilmentEvent
from contexts.fulfilment.service import fulfilment
from contexts.fulfilment.state import Saga
from contexts.messages import wire_name
from infra.event_store.store import EventStore
from infra.messages.codec import EventCodec
from infra.messages.command_headers import COMMAND_ID, encode_answer
from infra.messages.commands import Accepted, Answer, Envelope, Token
from infra.messages.events import Metadata
from infra.nats.connection import connect
from infra.runtime.command_client import CommandClient
from infra.runtime.context import (
    BackgroundWorker,
    Context,
    EventSession,
    ReceivedEvent,
    RunningContext,
    Session,
)
from infra.runtime.dead_letters.store import DeadLetter, Fate
from infra.runtime.process import reacting
from infra.runtime.stream_cache import Streams
from infra.sagas.dispatcher import Dispatcher
from infra.sagas.retry_policy import RetryPolicy
from infra.settings import Settings
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.nats_settled import settled

ACCEPTED = Accepted("stream", 1, 1, 0)

POLICY = RetryPolicy(
    tries=4, doubts=3, first_pause=0.01, longest_pause=0.05, answer_within=HOLDS_SECONDS, under_way=8
)


async def eventually(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; fails after a deadline."""
    try:
        async with asyncio.timeout(HOLDS_SECONDS):
            while True:
                holds = condition()
                if isinstance(holds, Awaitable):
                    holds = await holds
                if holds:
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


class Others:
    """The other contexts: they keep what they received and answer as they are told."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats
        self._rules: dict[str, Callable[[], Answer | None]] = {}
        self.received: list[tuple[str, str, bytes]] = []

    async def start(self) -> None:
        await self._nats.subscribe("cmd.*.*", cb=self._receive)
        await settled(self._nats)

    def answer(self, name: str, *answers: Answer | None) -> None:
        """How a command (wire name) is answered, one after the other and the last one for ever; None: not."""
        left = list(answers)
        self._rules[name] = lambda: left.pop(0) if len(left) > 1 else left[0]

    def names(self) -> list[str]:
        return [name for name, _, _ in self.received]

    def ids(self, name: str) -> list[str]:
        return [command_id for received, command_id, _ in self.received if received == name]

    async def _receive(self, message: Msg) -> None:
        assert message.headers is not None
        name = message.subject.removeprefix("cmd.")
        self.received.append((name, message.headers[COMMAND_ID], message.data))
        answer = self._rules.get(name, lambda: ACCEPTED)()
        if answer is not None:
            await message.respond(encode_answer(answer))


class Process:
    """A running context of a process manager; events are handed to it as its inbox does."""

    def __init__(self, settings: Settings, store: EventStore, nats: Client, context: Context) -> None:
        self.context = context
        self.store = store
        self.caught_up = asyncio.Event()
        self.caught_up.set()
        self.received_to: int = 0
        codec = EventCodec(self.context.events)
        self.streams = Streams(store, codec, self.context.initial, self.context.evolve)
        self._running = RunningContext(
            store=store,
            streams=self.streams,
            nats=nats,
            commands=CommandClient(nats),
            settings=settings,
            react=reacting(self.streams),
            has_received=self._has_received,
            caught_up=self._until_caught_up,
        )
        self._workers: Sequence[BackgroundWorker] = ()
        self._commands = 0

    async def _until_caught_up(self) -> None:
        await self.caught_up.wait()

    def _has_received(self, token: Token) -> bool:
        return token.position <= self.received_to

    async def start(self) -> None:
        self._workers = self.context.background_workers(self._running)
        for worker in self._workers:
            await worker.start()

    async def stop(self) -> None:
        for worker in reversed(self._workers):
            await worker.stop()

    async def receives(self, *facts: Any) -> None:
        """One batch, one transaction."""
        assert self.context.react is not None
        heard = [_heard(fact) for fact in facts]
        async with EventSession(self.streams) as session:
            await self.context.react(session, heard)
            await session.commit()

    async def is_told(self, command: Any) -> None:
        """An operator's command."""
        now = datetime.now(UTC)
        self._commands += 1
        envelope = Envelope(
            command_id=f"operator-{self._commands}",
            correlation_id="c",
            causation_id="",
            actor="operator",
            time=now,
            deadline=now + timedelta(seconds=HOLDS_SECONDS),
        )
        async with Session(self.streams, envelope, self.context.primary(command)) as session:
            await self.context.handle(session, command)
            await session.commit()

    async def is_told_of(self, letter: DeadLetter, fate: Fate) -> None:
        """As the inbox tells of a fact it could not take."""
        assert self.context.on_dead_letter is not None
        async with EventSession(self.streams) as session:
            await self.context.on_dead_letter(session, letter, fate)
            await session.commit()

    async def saga(self, order_id: str = "42") -> Saga:
        state: Saga = (await self.streams.load(f"fulfilment-{order_id}", fresh=True)).state
        return state

    async def events(self, order_id: str = "42") -> list[FulfilmentEvent]:
        records = await self.store.load(f"fulfilment-{order_id}")
        return [self.streams.codec.decode(record.name, record.data) for record in records]

    async def settled(self) -> None:
        """Return when every command in the outbox was accepted and waits for its fact, or none is left."""
        dispatcher = self._workers[0]
        assert isinstance(dispatcher, Dispatcher)

        async def answered() -> bool:
            outbox = await self.store.notes("outbox")
            return all(dispatcher._acknowledgements.has(command_id) for command_id in outbox)

        await eventually(answered, "every command answered")


def _heard(fact: Any) -> ReceivedEvent:
    context = wire_name(type(fact)).partition(".")[0]
    metadata = Metadata(time=datetime.now(UTC), causation_id="x", correlation_id="shop-1", actor="shop")
    key = getattr(fact, "order_id", None) or fact.account
    return ReceivedEvent(context, fact, f"{context}-{key}", 1, 1, 0, metadata)


def for_order(order_id: str, fact: Any) -> Any:
    """The same fact about another order."""
    return msgspec.structs.replace(fact, order_id=order_id)


class Stage:
    """Where a process is started, stopped and started again on the same store."""

    def __init__(self, settings: Settings, store_url: str, nats: Client, others: Others) -> None:
        self._settings = settings
        self._store_url = store_url
        self._nats = nats
        self.others = others

    @asynccontextmanager
    async def process(
        self,
        *,
        policy: RetryPolicy = POLICY,
        payment_timeout: float = 900.0,
        caught_up: bool = True,
        context: Context | None = None,
    ) -> AsyncIterator[Process]:
        """The fulfilment process, or another process manager's context."""
        settings = msgspec.structs.replace(self._settings, payment_timeout=payment_timeout)
        runs = context or fulfilment(settings, policy)
        store = await EventStore.open(runs.name, self._store_url)
        process = Process(settings, store, self._nats, runs)
        if not caught_up:
            process.caught_up.clear()
        try:
            await process.start()
            yield process
        finally:
            await process.stop()
            await store.close()


@asynccontextmanager
async def stage(store_url: str, nats_url: str) -> AsyncIterator[Stage]:
    """A nats-server's clients and the other contexts."""
    settings = Settings(nats_url=nats_url)
    ours = await connect(settings, "fulfilment")
    theirs = await connect(settings, "others")
    others = Others(theirs)
    await others.start()
    try:
        yield Stage(settings, store_url, ours, others)
    finally:
        await ours.close()
        await theirs.close()
