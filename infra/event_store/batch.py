"""What shares one transaction: judged one append after the other, then written together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking

from infra.event_store.errors import (
    CommandRepeated,
    CommandReused,
    Conflict,
    Outcome,
)
from infra.messages.events import (
    Append,
    Appended,
    Checkpoint,
    CheckpointMoved,
    CommandRecord,
    Metadata,
    Recorded,
    StreamAppend,
    key_of,
    partition_of,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

PUT_BACK = b"put back"
"""In the place of a command's fingerprint: it was carried out, and what it said is not known any more."""

CheckpointKey = tuple[str, str, int]
"""Reader, context, partition."""

TRACKING = "eventsourcing"
"""The reader whose checkpoints are the library's `Tracking` objects."""

WHOLE_LOG = -1
"""In the place of a partition: `Tracking` is of a log, not of one of its partitions."""

encode_metadata = msgspec.json.Encoder().encode


def microseconds(time: datetime) -> int:
    """An instant as the stores keep it: whole microseconds since 1970, UTC."""
    return (time - EPOCH) // MICROSECOND


def instant(recorded_at: int) -> datetime:
    """The instant a store kept."""
    return EPOCH + timedelta(microseconds=recorded_at)


class EventRow(NamedTuple):
    """An event as both databases keep it."""

    position: int
    stream: str
    version: int
    name: str
    data: bytes
    partition: int
    recorded_at: int
    metadata: bytes


def row_of(event: Recorded) -> EventRow:
    """An event as both databases keep it."""
    return EventRow(
        event.position,
        event.stream,
        event.version,
        event.name,
        event.data,
        event.partition,
        microseconds(event.metadata.time),
        encode_metadata(event.metadata),
    )


class CurrentState(msgspec.Struct):
    """What the store holds of everything a group touches; what is not in it does not exist."""

    positions: Iterator[int]
    """Positions for the group's events, ascending and above every position in the log."""
    versions: dict[str, int]
    commands: dict[str, CommandRecord]
    checkpoints: dict[CheckpointKey, int]


class Group:
    """Each append is judged against what the store holds and what the appends before it will have written."""

    def __init__(self, appends: Sequence[Append]) -> None:
        self._appends = appends
        self.streams: set[str] = set()
        self.command_ids: set[str] = set()
        self.checkpoint_keys: set[CheckpointKey] = set()
        self.event_count = 0
        for append in appends:
            if append.command is not None:
                self.command_ids.add(append.command.command_id)
            for part in append.streams:
                self.streams.add(part.stream)
                self.event_count += len(part.events)
            for move in append.checkpoints:
                self.checkpoint_keys.add((move.reader, move.context, move.partition))
        self.events: list[EventRow] = []
        self.commands: list[CommandRecord] = []
        self.checkpoints: dict[CheckpointKey, Checkpoint] = {}
        self.notes: dict[tuple[str, str], bytes | None] = {}
        self.admitted = 0

    def judge(self, state: CurrentState) -> list[Outcome]:
        """Say what becomes of each append; what is to be written is in the attributes afterwards."""
        outcomes: list[Outcome] = []
        for append in self._appends:
            versions = dict[str, int]()
            refusal = _refusal(append, state, versions)
            if refusal is None:
                outcomes.append(self._admit(append, state, versions))
            else:
                outcomes.append(refusal)
        return outcomes

    def _admit(self, append: Append, state: CurrentState, versions: dict[str, int]) -> Appended:
        rows, last = _rows(append.streams, state.positions)
        self.events += rows
        state.versions.update(versions)
        if append.command is not None:
            self.commands.append(append.command)
            state.commands[append.command.command_id] = append.command
        for move in append.checkpoints:
            key = (move.reader, move.context, move.partition)
            self.checkpoints[key] = move.checkpoint
            state.checkpoints[key] = move.checkpoint.position
        for note in append.notes:
            self.notes[note.kind, note.key] = note.value
        self.admitted += 1
        return Appended(last)


class InsertEvents(Group):
    """The library's `insert_events`, a group of one: versions are given, the table's key judges them."""

    def __init__(
        self,
        stored_events: Sequence[StoredEvent],
        tracking: Tracking | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        super().__init__(())
        self._stored_events = stored_events
        self._tracking = tracking
        self._metadata = metadata or Metadata(
            time=datetime.now(UTC), causation_id="", correlation_id="", actor=""
        )
        self.event_count = len(stored_events)
        if tracking is not None:
            self.checkpoint_keys.add((TRACKING, tracking.application_name, WHOLE_LOG))

    def judge(self, state: CurrentState) -> list[Outcome]:
        """Raises IntegrityError if what is tracked was tracked before."""
        if self._tracking is not None:
            (key,) = self.checkpoint_keys
            seen, position = state.checkpoints.get(key, 0), self._tracking.notification_id
            if position <= seen:
                raise IntegrityError(f"{self._tracking} is not above {seen}")
            self.checkpoints[key] = Checkpoint(position=position)
        encoded, recorded_at = encode_metadata(self._metadata), microseconds(self._metadata.time)
        for event in self._stored_events:
            stream = str(event.originator_id)
            self.events.append(
                EventRow(
                    next(state.positions),
                    stream,
                    event.originator_version,
                    event.topic,
                    event.state,
                    partition_of(key_of(stream)),
                    recorded_at,
                    encoded,
                )
            )
        self.admitted = 1
        return [Appended(tuple([row.position for row in self.events]))]


def _refusal(append: Append, state: CurrentState, versions: dict[str, int]) -> Exception | None:
    """Why the append does not hold, if so; else `versions` has the streams' versions after it."""
    command = append.command
    if command is not None:
        known = state.commands.get(command.command_id)
        if known is not None:
            # Of a command whose events were put back from the stream nothing else is known.
            if known.fingerprint in {command.fingerprint, PUT_BACK}:
                return CommandRepeated(known.command_id, known.reply)
            return CommandReused(known.command_id)
    for move in append.checkpoints:
        actual = state.checkpoints.get((move.reader, move.context, move.partition), 0)
        if actual != move.seen:
            return CheckpointMoved(move.reader, (move.context, move.partition), actual)
    for part in append.streams:
        version = versions.get(part.stream)
        if version is None:
            version = state.versions.get(part.stream, 0)
        if part.expected != version:
            return Conflict(part.stream, version)
        versions[part.stream] = version + len(part.events)
    return None


def _rows(
    streams: Sequence[StreamAppend], positions: Iterator[int]
) -> tuple[list[EventRow], tuple[int, ...]]:
    rows: list[EventRow] = []
    last: list[int] = []
    metadata: Metadata | None = None
    encoded, recorded_at = b"", 0
    for part in streams:
        # Streams of one append nearly always share the very same metadata: encoded once.
        if part.metadata is not metadata:
            metadata = part.metadata
            encoded, recorded_at = encode_metadata(metadata), microseconds(metadata.time)
        partition = partition_of(key_of(part.stream))
        version, position = part.expected, 0
        for event in part.events:
            version += 1
            position = next(positions)
            rows.append(
                EventRow(
                    position, part.stream, version, event.name, event.data, partition, recorded_at, encoded
                )
            )
        last.append(position)
    return rows, tuple(last)
