"""JetStream's questions and answers: the stream of a context's events, its messages, its durable readers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec
import structlog
from nats.aio.client import Client

from infra.messages.event_headers import POSITION
from infra.messages.events import PARTITIONS
from infra.nats.connection import request

WRONG_LAST_SEQUENCE = 10071
NO_MESSAGE = 10037
NO_STREAM = 10059
NO_CONSUMER = 10014
CONSUMER_EXISTS = 10148

MAX_ACK_PENDING = 5_000
ACK_WAIT_SECONDS = 60

log = structlog.get_logger()

T = TypeVar("T")


class JetStreamRefused(Exception):
    """JetStream answered with an error; `err_code` is its number."""

    def __init__(self, subject: str, err_code: int, description: str) -> None:
        super().__init__(f"{subject}: {description} ({err_code})")
        self.err_code = err_code


class StreamState(msgspec.Struct, frozen=True):
    """What a stream holds."""

    messages: int
    first_seq: int
    last_seq: int
    bytes: int = 0


class StreamInfo(msgspec.Struct, frozen=True):
    """A stream: when it was created (a recreated one differs in that), its state and configuration."""

    created: str
    state: StreamState
    config: dict[str, Any]


class StoredMessage(msgspec.Struct, frozen=True):
    """A message read from a stream by its sequence or subject."""

    subject: str
    seq: int
    hdrs: bytes = b""
    data: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        lines = self.hdrs.decode("utf-8", "replace").split("\r\n")
        return dict([line.split(": ", 1) for line in lines if ": " in line])

    @property
    def position(self) -> int:
        """The event's position in its store; 0 if this is no event."""
        position = self.headers.get(POSITION, "")
        return int(position) if position.isdecimal() else 0


class PubAck(msgspec.Struct, frozen=True):
    """Published: the stream sequence of the (last) message."""

    seq: int


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Failure(msgspec.Struct):
    error: _Error | None = None


class _MessageReply(msgspec.Struct):
    message: StoredMessage


class _ConsumerNames(msgspec.Struct):
    consumers: list[str] | None = None


class _Anything(msgspec.Struct):
    pass


def answer(subject: str, data: bytes, kind: type[T]) -> T:
    """Read an answer of JetStream; raises JetStreamRefused."""
    failure = msgspec.json.decode(data, type=_Failure)
    if failure.error is not None:
        raise JetStreamRefused(subject, failure.error.err_code, failure.error.description)
    return msgspec.json.decode(data, type=kind)


async def ask(nats: Client, what: str, kind: type[T], body: Mapping[str, Any] | None = None) -> T:
    """Ask JetStream's API; raises JetStreamRefused, NatsUnavailable."""
    payload = b"" if body is None else msgspec.json.encode(body)
    reply = await request(nats, f"$JS.API.{what}", payload)
    return answer(what, reply.data, kind)


def stream_name(context: str) -> str:
    return f"EV_{context}"


def filters(context: str, partitions: Collection[int]) -> list[str]:
    """The subjects of some partitions of a context's events."""
    if len(set(partitions)) == PARTITIONS:
        return [f"ev.{context}.>"]
    return [f"ev.{context}.{partition}.>" for partition in sorted(set(partitions))]


async def stream_info(nats: Client, name: str) -> StreamInfo | None:
    """What a stream is and holds; None if there is none."""
    try:
        return await ask(nats, f"STREAM.INFO.{name}", StreamInfo)
    except JetStreamRefused as refused:
        if refused.err_code == NO_STREAM:
            return None
        raise


def event_stream(context: str, replicas: int) -> dict[str, Any]:
    """The configuration of the stream of a context's events, on so many servers."""
    return {
        "name": stream_name(context),
        "subjects": [f"ev.{context}.>"],
        "storage": "file",
        "num_replicas": replicas,
        "retention": "limits",
        "discard": "new",
        # The relay is the only writer, and nobody takes anything away.
        "deny_delete": True,
        "deny_purge": True,
        "allow_atomic": True,
    }


UNBOUNDED: Mapping[str, Any] = {
    **dict.fromkeys(("max_msgs", "max_bytes", "max_msgs_per_subject", "max_msg_size", "max_consumers"), -1),
    "max_age": 0,
    **dict.fromkeys(("no_ack", "sealed"), False),
    **dict.fromkeys(("mirror", "sources", "subject_transform", "republish"), None),
}
"""What a stream of ours has none of, as the server tells it."""


def deviations(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """How a stream's configuration differs from what is wanted of it; it may be on more servers."""
    told = []
    for name, value in {**UNBOUNDED, **wanted}.items():
        actual = found.get(name)
        if actual == value or (not actual and (not value or value == -1)):
            continue
        if name == "num_replicas" and isinstance(actual, int) and actual > value:
            continue
        told.append(f"{name} is {_said(actual)}, not {_said(value)}")
    return told


def _said(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def ensure_stream(nats: Client, context: str, replicas: int = 1) -> StreamInfo:
    """The stream of a context's events; if there is none, created on so many servers."""
    found = await stream_info(nats, stream_name(context))
    if found is not None:
        return found
    log.info("creating the event stream", stream=stream_name(context))
    return await ask(
        nats, f"STREAM.CREATE.{stream_name(context)}", StreamInfo, event_stream(context, replicas)
    )


async def delete_stream(nats: Client, context: str) -> None:
    """Take the stream of a context's events away, if there is one: its relay publishes the whole log anew."""
    await delete_stream_named(nats, stream_name(context))


async def delete_stream_named(nats: Client, name: str) -> None:
    """Take a stream away, if there is one."""
    try:
        await ask(nats, f"STREAM.DELETE.{name}", _Anything)
    except JetStreamRefused as refused:
        if refused.err_code != NO_STREAM:
            raise


async def message_at(nats: Client, stream: str, sequence: int) -> StoredMessage | None:
    """The message at a sequence; None if it is not there."""
    return await _message(nats, stream, {"seq": sequence})


async def message_from(nats: Client, stream: str, sequence: int, subject: str) -> StoredMessage | None:
    """The first message at or after a sequence."""
    return await _message(nats, stream, {"seq": sequence, "next_by_subj": subject})


async def last_message(nats: Client, stream: str, subject: str) -> StoredMessage | None:
    """The last message there is."""
    return await _message(nats, stream, {"last_by_subj": subject})


async def _message(nats: Client, stream: str, body: Mapping[str, Any]) -> StoredMessage | None:
    try:
        return (await ask(nats, f"STREAM.MSG.GET.{stream}", _MessageReply, body)).message
    except JetStreamRefused as refused:
        if refused.err_code in {NO_MESSAGE, NO_STREAM}:
            return None
        raise


async def ensure_consumer(
    nats: Client,
    stream: str,
    durable: str,
    subjects: Collection[str],
    *,
    explicit: bool = False,
    forgotten_seconds: int = 0,
) -> None:
    """A durable pull consumer; one of another form is replaced.

    `forgotten_seconds`: the server forgets it when nobody has pulled for so long; 0 is never.

    Acknowledgements (of all up to a message, or of each when `explicit`) are only for the lag that the server
    shows: a reader's place is its own checkpoint.
    """
    configuration = {
        "name": durable,
        "durable_name": durable,
        "deliver_policy": "all",
        "ack_policy": "explicit" if explicit else "all",
        "ack_wait": ACK_WAIT_SECONDS * 10**9,
        "max_deliver": -1,
        "max_ack_pending": MAX_ACK_PENDING,
        "replay_policy": "instant",
        "filter_subjects": list(subjects),
    }
    if forgotten_seconds:
        configuration["inactive_threshold"] = forgotten_seconds * 10**9
    body = {"stream_name": stream, "config": configuration, "action": "create"}
    try:
        await ask(nats, f"CONSUMER.CREATE.{stream}.{durable}", _Anything, body)
    except JetStreamRefused as refused:
        if refused.err_code != CONSUMER_EXISTS:
            raise
        await ask(nats, f"CONSUMER.DELETE.{stream}.{durable}", _Anything)
        await ask(nats, f"CONSUMER.CREATE.{stream}.{durable}", _Anything, body)


async def delete_consumers(nats: Client, stream: str, durable: str) -> None:
    """Delete the consumers of a name, whichever partitions each has (`rm-orders`, `rm-orders-0_to_7`)."""
    try:
        found = await ask(nats, f"CONSUMER.NAMES.{stream}", _ConsumerNames)
        for name in found.consumers or ():
            if name == durable or name.startswith(f"{durable}-"):
                await ask(nats, f"CONSUMER.DELETE.{stream}.{name}", _Anything)
    except JetStreamRefused as refused:
        if refused.err_code not in {NO_STREAM, NO_CONSUMER}:
            raise


async def reset_consumer(nats: Client, stream: str, durable: str, sequence: int) -> None:
    """Let a consumer go on from a sequence, with nothing outstanding.

    A sequence beyond the stream's end is accepted and silently skips what comes until then: check before.
    """
    await ask(nats, f"CONSUMER.RESET.{stream}.{durable}", _Anything, {"seq": sequence})


async def sequence_after(nats: Client, context: str, info: StreamInfo, position: int) -> int:
    """The sequence from which on a context's stream has everything after a position of its store.

    Positions grow with sequences, so it is found by halving: some twenty questions for a million messages.
    """
    low, high = max(1, info.state.first_seq), info.state.last_seq + 1
    if position == 0:
        return low
    while low < high:
        middle = (low + high) // 2
        message = await message_from(nats, stream_name(context), middle, f"ev.{context}.>")
        if message is None or message.position > position:
            high = middle
        else:
            low = message.seq + 1
    return low


async def purge(nats: Client, stream: str, subject: str) -> None:
    """Take all messages of a subject away; none, if there is no such stream."""
    try:
        await ask(nats, f"STREAM.PURGE.{stream}", _Anything, {"filter": subject})
    except JetStreamRefused as refused:
        if refused.err_code != NO_STREAM:
            raise
