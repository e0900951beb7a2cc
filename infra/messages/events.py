"""What a store keeps of an event, and what is handed to it to be kept."""

from __future__ import annotations

import zlib
from datetime import datetime

import msgspec

PARTITIONS = 16
"""Every context's log is split into this many partitions by its streams' keys; fixed for ever."""


def key_of(stream: str) -> str:
    """The key of a stream: `order-42` → `42`. Streams of one key share a partition in every context."""
    return stream.partition("-")[2]


def partition_of(key: str) -> int:
    """The partition (0 to 15) of a key."""
    return zlib.crc32(key.encode()) % PARTITIONS


class Metadata(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Who caused an event, why and when; stored beside the event, never inside it.

    `causation_id` is the id of the command that caused the event; `actor` a token's subject or a saga;
    `time` the moment (UTC) that came in with the command.
    """

    time: datetime
    causation_id: str
    correlation_id: str
    actor: str
    traceparent: str = ""


class NewEvent(msgspec.Struct, frozen=True):
    """An event to append: its wire name and its JSON."""

    name: str
    data: bytes


class Recorded(msgspec.Struct, frozen=True):
    """An event as its store has it.

    `position` orders the whole context's log (gaps are allowed), `version` its stream (1, 2, 3, …).
    """

    position: int
    stream: str
    version: int
    name: str
    data: bytes
    metadata: Metadata
    partition: int

    @property
    def event_id(self) -> str:
        """The event's id, unique over all contexts: `order-42@3`."""
        return f"{self.stream}@{self.version}"


class StreamAppend(msgspec.Struct, frozen=True):
    """Events for one stream; `expected` is the stream's version before them (0 = it does not exist)."""

    stream: str
    expected: int
    events: tuple[NewEvent, ...]
    metadata: Metadata


class CommandRecord(msgspec.Struct, frozen=True):
    """A command that was carried out: the same id with the same fingerprint gets the same reply again."""

    command_id: str
    fingerprint: bytes
    reply: bytes


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a reader has come in one partition of a context's log.

    `position` is of the last event applied (0 = none). `sequence` is the JetStream stream sequence up to
    which everything of this partition has been seen, `sequence_position` the `Es-Pos` of the message there,
    `created` the stream's creation time: a hint where to go on reading, checked before it is believed.
    """

    position: int = 0
    sequence: int = 0
    sequence_position: int = 0
    created: str = ""


class CheckpointMoved(Exception):
    """A reader's checkpoint no longer stands where the mover saw it: another process of that reader works.

    `actual` is the position at which it stands; None if that, or which checkpoint it is, was not read.
    """

    def __init__(self, reader: str, place: tuple[str, int] | None = None, actual: int | None = None) -> None:
        what = f"a checkpoint of {reader}" if place is None else f"{reader} in {place[0]}.{place[1]}"
        super().__init__(f"{what} was moved" if actual is None else f"{what} stands at {actual}")
        self.actual = actual


class CheckpointMove(msgspec.Struct, frozen=True):
    """Move a reader's checkpoint in `context`'s partition, if it still stands at position `seen`."""

    reader: str
    context: str
    partition: int
    seen: int
    checkpoint: Checkpoint


class Note(msgspec.Struct, frozen=True):
    """A context's own small record beside its events (a price heard, a command to send); None deletes it."""

    kind: str
    key: str
    value: bytes | None


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction: all of it happens, or none of it."""

    streams: tuple[StreamAppend, ...] = ()
    command: CommandRecord | None = None
    checkpoints: tuple[CheckpointMove, ...] = ()
    notes: tuple[Note, ...] = ()


class Appended(msgspec.Struct, frozen=True):
    """Where the events came to stand: for each of the append's streams, the position of its last event."""

    positions: tuple[int, ...]


class Behind(msgspec.Struct, frozen=True):
    """How much of a partition lies after a position; `oldest` is the time of the first such event."""

    events: int
    oldest: datetime | None
