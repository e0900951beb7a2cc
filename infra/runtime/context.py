"""What a bounded context is to the process that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from nats.aio.client import Client

from infra.event_store.store import EventStore
from infra.messages.codec import Upcaster
from infra.messages.commands import Token
from infra.messages.events import Metadata
from infra.runtime.command_client import CommandClient
from infra.runtime.dead_letters.store import DeadLetter, Fate
from infra.runtime.session import EventSession, Session
from infra.runtime.stream_cache import Streams
from infra.settings import Settings

__all__ = [
    "BackgroundWorker",
    "Context",
    "DeadLetter",
    "EventSession",
    "Fate",
    "ReceivedEvent",
    "RunningContext",
    "Session",
    "StartRefused",
    "Unavailable",
]


class Unavailable(Exception):
    """Something a handler needs did not answer; the command may be sent again as it is."""


class StartRefused(Exception):
    """A context must not begin to work; the message says what is missing and what to do."""


class ReceivedEvent(msgspec.Struct, frozen=True):
    """A fact from another context."""

    context: str
    event: Any
    stream: str
    version: int
    position: int
    partition: int
    metadata: Metadata

    @property
    def event_id(self) -> str:
        """The fact's id: `order-42@3`."""
        return f"{self.stream}@{self.version}"


class BackgroundWorker(Protocol):
    """Something that works beside a context while this process leads it."""

    async def start(self) -> None:
        """Begin; returns when it works."""

    async def stop(self) -> None:
        """Finish what is under way and end."""


@dataclass(frozen=True)
class RunningContext:
    """What a worker has of the context it works beside."""

    store: EventStore
    streams: Streams
    nats: Client
    commands: CommandClient
    settings: Settings
    react: Callable[[Callable[[EventSession], Awaitable[None]]], Awaitable[None]]
    """Run a function on an EventSession and commit it, again from fresh state after a conflict."""
    has_received: Callable[[Token], bool]
    """Whether the context has heard everything up to a token."""
    caught_up: Callable[[], Awaitable[None]]
    """Returns when the context has heard all that had happened when it was called."""


async def as_sent(_: Any, fingerprint: bytes) -> bytes:
    """Most commands say nothing that a fingerprint must not let anybody try guesses against."""
    return fingerprint


async def startable(_: EventStore) -> None:
    """Most contexts need nothing but their store."""


def no_workers(_: RunningContext) -> Sequence[BackgroundWorker]:
    """Most contexts work alone."""
    return ()


@dataclass(frozen=True)
class Context:
    """A bounded context: its messages, its states, what it does with a command and with a fact it receives.

    `primary` names the stream a command's reply is about. `handle` loads, decides and records on a session;
    it raises the domain's refusals or Unavailable. It may run several times for one command, of which one is
    committed. `react` does the same for a batch of facts, whose checkpoints move in the same transaction.
    `on_dead_letter` is told, in the same transaction, of a fact that could not be taken and is parked, and of
    a parked one that was retried successfully or skipped; not of those that wait behind it for its key.
    `known_events` are the wire names the build knows, by context: an event of another type is parked.
    `fingerprint` makes what is kept of a command's body of the body's hash, to know the command again; empty
    if that can no longer be told. It may raise Unavailable. `check_start` raises StartRefused or
    StoreUnavailable if the context must not begin to work. `rebuilt`: a store that was lost is made again by
    handling the other contexts' events. `sends` are the commands it sends to contexts, `requests` what it
    answers beside those about its log, `sets_timers` whether it has an alarm clock: its NATS user may do no
    more.
    """

    name: str
    commands: Any
    events: Any
    initial: Callable[[str], Any]
    evolve: Callable[[Any, Any], Any]
    primary: Callable[[Any], str]
    handle: Callable[[Session, Any], Awaitable[None]]
    upcasters: Mapping[str, Upcaster] = field(default_factory=dict)
    receives: Mapping[str, Any] = field(default_factory=dict)
    react: Callable[[EventSession, Sequence[ReceivedEvent]], Awaitable[None]] | None = None
    known_events: Mapping[str, Collection[str]] = field(default_factory=dict)
    on_dead_letter: Callable[[EventSession, DeadLetter, Fate], Awaitable[None]] | None = None
    background_workers: Callable[[RunningContext], Sequence[BackgroundWorker]] = no_workers
    fingerprint: Callable[[Any, bytes], Awaitable[bytes]] = as_sent
    check_start: Callable[[EventStore], Awaitable[None]] = startable
    rebuilt: bool = False
    sends: Collection[type[msgspec.Struct]] = ()
    requests: Collection[str] = ()
    sets_timers: bool = False
