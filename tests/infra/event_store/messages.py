"""Appends for tests, in one line each."""

from __future__ import annotations

from datetime import UTC, datetime

from infra.messages.events import (
    Append,
    Checkpoint,
    CheckpointMove,
    CommandRecord,
    Metadata,
    NewEvent,
    Note,
    StreamAppend,
)

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


def metadata(time: datetime = NOON) -> Metadata:
    """Who caused it and when."""
    return Metadata(
        time=time,
        causation_id="command-1",
        correlation_id="trail-1",
        actor="clerk",
        traceparent="00-ab-cd-01",
    )


def part(
    stream: str, expected: int, *names: str, time: datetime = NOON, data: bytes = b'{"n":1}'
) -> StreamAppend:
    """Events for one stream, named `ordering.<name>`."""
    return StreamAppend(
        stream, expected, tuple(NewEvent(f"ordering.{name}", data) for name in names), metadata(time)
    )


def append(*parts: StreamAppend, command: CommandRecord | None = None) -> Append:
    """One transaction."""
    return Append(streams=parts, command=command)


def command(command_id: str, fingerprint: bytes = b"print", reply: bytes = b"reply") -> CommandRecord:
    """A command that was carried out."""
    return CommandRecord(command_id, fingerprint, reply)


def move(seen: int, position: int, partition: int = 3) -> CheckpointMove:
    """A move of the inbox's checkpoint in catalog's log."""
    checkpoint = Checkpoint(
        position=position, sequence=position + 10, sequence_position=position, created="2026-01-01T00:00:00Z"
    )
    return CheckpointMove("inbox", "catalog", partition, seen, checkpoint)


def note(key: str, value: bytes | None, kind: str = "price") -> Note:
    """A note."""
    return Note(kind, key, value)
