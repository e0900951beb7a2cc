"""Serves a context's commands: carried out once, answered after the commit, refused when late."""

from __future__ import annotations

import asyncio
import time
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from infra.event_store.store import CommandRepeated, CommandReused, Conflict, StoreBusy, StoreUnavailable
from infra.messages.codec import EventUnreadable
from infra.messages.command_headers import EnvelopeInvalid, encode_answer, from_headers
from infra.messages.commands import (
    Accepted,
    Answer,
    Envelope,
    RefusalKind,
    Refused,
    Repeated,
    Token,
    fingerprint,
)
from infra.messages.events import CommandRecord, key_of, partition_of
from infra.observability import tracing
from infra.observability.logging.redaction import described
from infra.observability.logging.setup import trace_of
from infra.observability.metrics.instruments import CommandMeasures, outcome_of
from infra.runtime.context import Context, Session, Unavailable
from infra.runtime.session import EventTooLarge, Stale
from infra.runtime.stream_cache import Streams
from infra.settings import WhatIsLogged

log = structlog.get_logger(__name__)


class CommandLog:
    """Which commands of a context get a line; what is logged while one is carried out always names it."""

    def __init__(self, context: str, wanted: WhatIsLogged) -> None:
        self._context = context
        self._wanted = wanted

    def concerns(self, envelope: Envelope, command: Any) -> None:
        """Have everything this task logs from now on name what the command is about."""
        bind = structlog.contextvars.bind_contextvars
        bind(correlation_id=envelope.correlation_id, order_id=getattr(command, "order_id", None))
        if envelope.traceparent:
            bind(trace_id=trace_of(envelope.traceparent))

    def answered(self, name: str, answer: Answer, seconds: float) -> None:
        """Write a command's line: its name and its outcome, neither its content nor a refusal's words."""
        if self._wanted == "on" or (self._wanted == "errors" and not isinstance(answer, Accepted)):
            log.info(
                "command",
                command=f"{self._context}.{name}",
                outcome=outcome_of(answer),
                milliseconds=round(seconds * 1_000, 1),
            )


UNDER_WAY = 1_024
"""Commands carried out at once; the next one is answered BUSY at once rather than queued."""

ATTEMPTS = 20
"""How often a command is decided anew after conflicts before its sender is told to try again."""

STOP_SECONDS = 10.0

log = structlog.get_logger(__name__)


class ReceivedEvents(Protocol):
    """Knows how far the context has heard the others."""

    async def up_to(self, tokens: tuple[Token, ...]) -> None:
        """Return when everything the tokens name was heard."""


class CommandService:
    """Carries out the commands of one context."""

    def __init__(
        self,
        context: Context,
        nats: Client,
        streams: Streams,
        heard: ReceivedEvents,
        refusals: Mapping[type[Exception], RefusalKind],
        *,
        logged: WhatIsLogged = "errors",
    ) -> None:
        """`refusals` says which of the domain's exceptions (with a `rule`) mean which refusal."""
        self._context = context
        self._nats = nats
        self._streams = streams
        self._heard = heard
        self._refusals = dict(refusals)
        self._expected: tuple[type[Exception], ...] = (Stale, *refusals)
        kinds: tuple[type[msgspec.Struct], ...] = typing.get_args(context.commands) or (context.commands,)
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            str(kind.__struct_config__.tag).partition(".")[2]: msgspec.json.Decoder(kind) for kind in kinds
        }
        self._measures = CommandMeasures(context.name, self._decoders)
        self._log = CommandLog(context.name, logged)
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to serve; replicas of the context share the work."""
        name = self._context.name
        self._subscription = await self._nats.subscribe(
            f"cmd.{name}.*", queue=name, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    async def stop(self) -> None:
        """Take no more commands; those under way are finished and answered."""
        if self._subscription is not None and self._nats.is_connected:
            await self._subscription.drain()  # type: ignore[no-untyped-call]
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)

    async def _receive(self, message: Msg) -> None:
        if len(self._tasks) >= UNDER_WAY:
            busy = Refused(RefusalKind.BUSY, f"{self._context.name} is busy")
            self._measures.answered(message.subject.rpartition(".")[2], busy, 0.0)
            await self._reply(message, busy)
            return
        task = asyncio.create_task(self._serve(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, message: Msg) -> None:
        begun = time.perf_counter()
        name = message.subject.rpartition(".")[2]
        try:
            answer = await self._answer(name, message)
        except Exception:
            # A defect: the sender learns that it may try again, the operator sees why.
            log.exception("command failed", command=f"{self._context.name}.{name}")
            answer = Refused(RefusalKind.UNAVAILABLE, f"{self._context.name} failed to carry out {name}")
        seconds = time.perf_counter() - begun
        self._measures.answered(name, answer, seconds)
        self._log.answered(name, answer, seconds)
        await self._reply(message, answer)

    async def _reply(self, message: Msg, answer: Answer) -> None:
        if message.reply and not self._nats.is_closed:
            try:
                await self._nats.publish(message.reply, encode_answer(answer))
            except Exception as error:  # noqa: BLE001 - the sender will ask again with the same id
                log.warning("reply not sent", error=described(error))

    async def _answer(self, name: str, message: Msg) -> Answer:
        try:
            envelope = from_headers(message.headers)
            decoder = self._decoders[name]
            command = decoder.decode(message.data)
        except EnvelopeInvalid as error:
            return Refused(RefusalKind.INVALID, str(error))
        except KeyError:
            return Refused(RefusalKind.INVALID, f"{self._context.name} has no command {name}")
        except msgspec.DecodeError as error:
            return Refused(RefusalKind.INVALID, str(error))
        self._log.concerns(envelope, command)
        with tracing.handling(self._context.name, name, envelope) as span:
            if span.recorded:
                # The events it causes, and whatever these cause, continue from here.
                envelope = msgspec.structs.replace(envelope, traceparent=span.traceparent)
            answer = await self.carry_out(command, envelope, fingerprint(name, message.data))
            tracing.answered(span, answer)
        return answer

    async def carry_out(self, command: Any, envelope: Envelope, print_: bytes) -> Answer:
        """Carry out one command until its deadline."""
        left = (envelope.deadline - datetime.now(UTC)).total_seconds()
        if left <= 0:
            return Refused(RefusalKind.EXPIRED, "the deadline had passed when the command arrived")
        if envelope.after:
            try:
                async with asyncio.timeout(left):
                    await self._heard.up_to(envelope.after)
            except TimeoutError:
                return Refused(RefusalKind.BEHIND, f"{self._context.name} has not yet heard what came before")
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + left):
                return await self._decide(command, envelope, print_)
        except TimeoutError:
            return Refused(RefusalKind.EXPIRED, "the deadline passed before the command was carried out")

    async def _decide(self, command: Any, envelope: Envelope, print_: bytes) -> Answer:
        """Try until an answer stands; None from a try means that it was decided on what no longer holds."""
        try:
            print_ = await self._context.fingerprint(command, print_)
            for attempt in range(ATTEMPTS):
                answer = await self._try(command, envelope, print_, fresh=attempt > 0)
                if answer is not None:
                    return answer
        except CommandRepeated as repeated:
            return await self._again(repeated.reply)
        except tuple(TROUBLES) as error:
            kind = next(kind for known, kind in TROUBLES.items() if isinstance(error, known))
            log.warning("command not carried out", command=type(command).__name__, error=str(error))
            return Refused(kind, str(error), field=getattr(error, "field", ""))
        return Refused(RefusalKind.BUSY, "too many others changed the same things")

    async def _try(self, command: Any, envelope: Envelope, print_: bytes, *, fresh: bool) -> Answer | None:
        primary = self._context.primary(command)
        async with Session(self._streams, envelope, primary, fresh=fresh) as session:
            try:
                await self._context.handle(session, command)
                if not session.changes and self._may_be_outdated(session):
                    return None
                return await self._commit(session, primary, envelope, print_)
            except Conflict:
                return None
            except self._expected as error:
                known = await self._streams.store.command(envelope.command_id)
                if known is not None and print_:
                    # It was carried out before; that it no longer could be does not matter.
                    return await self._again(known.reply) if known.fingerprint == print_ else REUSED
                return None if self._may_be_outdated(session) else self._refusal(error)

    def _may_be_outdated(self, session: Session) -> bool:
        """Whether another replica may have changed what was decided on; an append would have found out."""
        return session.from_memory and self._streams.store.shared

    async def _commit(self, session: Session, primary: str, envelope: Envelope, print_: bytes) -> Answer:
        await session.load(primary)
        stored = Accepted(primary, session.version(primary), 0, partition_of(key_of(primary)))
        await session.commit(CommandRecord(envelope.command_id, print_, encode_answer(stored)))
        return msgspec.structs.replace(stored, position=session.position(primary))

    async def _again(self, reply: bytes) -> Answer:
        """The first answer again; its position was not known before the commit and is looked up."""
        stored = msgspec.json.decode(reply, type=Accepted)
        records = (
            await self._streams.store.load(stored.stream, after=stored.version - 1) if stored.version else []
        )
        position = records[0].position if records else 0
        return Repeated(stored.stream, stored.version, position, stored.partition)

    def _refusal(self, error: Exception) -> Refused:
        if isinstance(error, Stale):
            return Refused(RefusalKind.STALE, str(error), error.version)
        kind = next(kind for known, kind in self._refusals.items() if isinstance(error, known))
        return Refused(kind, str(error))


REUSED = Refused(RefusalKind.REUSED, "this command id belongs to another command")

TROUBLES: dict[type[Exception], RefusalKind] = {
    CommandReused: RefusalKind.REUSED,
    EventTooLarge: RefusalKind.INVALID,
    StoreBusy: RefusalKind.BUSY,
    StoreUnavailable: RefusalKind.UNAVAILABLE,
    Unavailable: RefusalKind.UNAVAILABLE,
    EventUnreadable: RefusalKind.UNAVAILABLE,
}
"""What a command runs into besides rules; the first that fits counts."""
