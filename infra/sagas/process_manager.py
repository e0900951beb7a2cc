"""What a process manager says of itself: what follows from an event, and when a command is done.

An instance is one run of the process, such as one order's; its key names it. Its events are in the stream
`<name>-<key>` of the context that the process manager is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec

from infra.runtime.dead_letters.store import DeadLetter, Fate
from infra.sagas.outbox import Cause, OutboxMessage, encode, identity


class Timer(Protocol):
    """A wake-up call: setting the same name again replaces it."""

    @property
    def name(self) -> str:
        """Its name among the timers of its instance."""

    @property
    def due(self) -> datetime:
        """When it fires; with its offset from UTC."""


@dataclass(frozen=True)
class Step:
    """What follows from an event that was received, all of it recorded in one transaction.

    `event` goes into the instance's stream. `commands` are sent, in this order. `recovered` are the ids of
    failed commands that no longer matter. `problem` says why a person is needed, if one is. `details` go into
    the log with the step.
    """

    event: msgspec.Struct
    commands: tuple[msgspec.Struct, ...] = ()
    timers_set: tuple[Timer, ...] = ()
    timers_cancelled: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    problem: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


def wanted_until_accepted(_state: Any, _message: OutboxMessage) -> bool:
    """Most commands are wanted until they are accepted."""
    return False


def nothing_before(_state: Any, _message: OutboxMessage) -> str:
    """Most commands need no other to have been carried out."""
    return ""


def answer_is_enough(_message: OutboxMessage) -> bool:
    """Most processes know from a command's acceptance that it is done."""
    return False


def about_the_instance(_command: msgspec.Struct) -> str | None:
    """Most commands are about the instance as a whole."""
    return None


def asked_once(stream: str, step: str, _version: int) -> str:
    """Most commands are asked for once in an instance's life."""
    return f"{stream}:{step}"


@dataclass(frozen=True)
class ProcessManager:
    """A process manager's functions on the state of an instance, which its context's `evolve` makes.

    `key_of` names the instance that a received event is about. `decide(state, event, now)` gives the step
    that the event calls for, or None. `failed(message, reason)` is the event that records that a command
    could not be carried out. `timer_fired(key, name)` is the event that a timer is received as.

    `settled(state, message)` tells whether a command need not be sent, or sent again: an event has shown
    its effect, or nothing wants it any more. `blocked(state, message)` says why a command must not be sent,
    if so. `awaits(message)`: its acceptance is not enough, one of the events the process receives must show
    its effect. `about(command)` tells commands of one type apart, such as the refunds of several returns.
    `command_id(stream, step, version)` is the id a command is sent under: the same when a process manager
    that lost its store asks for it again; the version of the instance tells apart commands that may be
    asked for several times. `dead_letter(letter, fate)` is the event that records what became of a received
    event that could not be handled. `earlier_note` reads outbox notes of earlier versions. `key_field` is
    what logs call the key.
    """

    name: str
    key_of: Callable[[Any], str]
    decide: Callable[[Any, Any, datetime], Step | None]
    failed: Callable[[OutboxMessage, str], msgspec.Struct]
    timer_fired: Callable[[str, str], msgspec.Struct]
    settled: Callable[[Any, OutboxMessage], bool] = wanted_until_accepted
    blocked: Callable[[Any, OutboxMessage], str] = nothing_before
    awaits: Callable[[OutboxMessage], bool] = answer_is_enough
    about: Callable[[msgspec.Struct], str | None] = about_the_instance
    command_id: Callable[[str, str, int], str] = asked_once
    dead_letter: Callable[[DeadLetter, Fate], msgspec.Struct] | None = None
    earlier_note: Callable[[bytes], OutboxMessage] | None = None
    key_field: str = "key"

    def stream(self, key: str) -> str:
        """The stream of an instance."""
        return f"{self.name}-{key}"

    def key_of_command(self, command_id: str) -> str:
        """The instance that asked for a command, by the command's id."""
        return command_id.removeprefix(self.stream("")).partition(":")[0]

    def messages(
        self, commands: Sequence[msgspec.Struct], key: str, version: int, cause: Cause
    ) -> tuple[OutboxMessage, ...]:
        """The commands of the instance's event at a version, as they are sent."""
        stream = self.stream(key)
        return tuple(
            OutboxMessage(
                key=key,
                version=version,
                number=number,
                command_id=self.command_id(stream, identity(name, self.about(command)), version),
                name=name,
                body=msgspec.Raw(encode(command)),
                correlation_id=cause.correlation_id,
                causation_id=cause.causation_id,
                traceparent=cause.traceparent,
                about=self.about(command),
            )
            for number, command in enumerate(commands, start=1)
            for name in (wire_name(command),)
        )

    def read(self, note: bytes) -> OutboxMessage:
        """A message of the outbox; raises msgspec.DecodeError."""
        try:
            return msgspec.json.decode(note, type=OutboxMessage)
        except msgspec.ValidationError:
            if self.earlier_note is None:
                raise
            return self.earlier_note(note)


def wire_name(message: msgspec.Struct) -> str:
    """The name a message is sent and stored under."""
    return str(message.__struct_config__.tag)
