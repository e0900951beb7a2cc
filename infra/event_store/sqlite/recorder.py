"""Every statement that a context's SQLite file is written and read with, as the library's recorder.

SQLite lets go of Python's interpreter lock at every step of a statement, and a busy event loop takes up to
5 ms to give it back. So what is read comes as one row of JSON, and what is written goes in as statements of
many rows: a group of 64 costs about ten steps instead of hundreds.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from eventsourcing.persistence import Notification, Subscription
from eventsourcing.sqlite import SQLiteCursor, SQLiteDatastore, SQLiteProcessRecorder
from msgspec.structs import astuple

from infra.event_store.batch import (
    CurrentState,
    Group,
    InsertEvents,
    instant,
    row_of,
)
from infra.event_store.errors import Outcome, StoreReplaced
from infra.event_store.recorder import COUNTED_AT_MOST, EventRecorder, LogFilter
from infra.messages.events import PARTITIONS, Behind, Checkpoint, CommandRecord, Metadata, Recorded

SCHEMA = (
    # `position` is the rowid, so the library's own statements about rowids hold.
    """CREATE TABLE IF NOT EXISTS stored_events (
        position INTEGER PRIMARY KEY,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        partition INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        metadata BLOB NOT NULL,
        UNIQUE (originator_id, originator_version))""",
    "CREATE INDEX IF NOT EXISTS stored_events_partition ON stored_events (partition, position)",
    """CREATE TABLE IF NOT EXISTS commands (
        command_id TEXT PRIMARY KEY,
        fingerprint BLOB NOT NULL,
        reply BLOB NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS checkpoints (
        reader TEXT NOT NULL,
        context TEXT NOT NULL,
        partition INTEGER NOT NULL,
        position INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        sequence_position INTEGER NOT NULL,
        created TEXT NOT NULL,
        PRIMARY KEY (reader, context, partition)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS notes (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (kind, key)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS owner (context TEXT PRIMARY KEY) WITHOUT ROWID",
)

OWN = "INSERT INTO owner SELECT ? WHERE NOT EXISTS (SELECT 1 FROM owner)"
LOCK = "UPDATE owner SET context = context WHERE FALSE"
"""Takes the lock of a writer, changes nothing."""

CURRENT_STATE = """
SELECT
    (SELECT max(position) FROM stored_events),
    (SELECT json_group_array(json_array(wanted.value,
        (SELECT max(originator_version) FROM stored_events WHERE originator_id = wanted.value)))
        FROM json_each(?1) AS wanted),
    (SELECT json_group_array(json_array(command_id, hex(fingerprint), hex(reply)))
        FROM commands WHERE command_id IN (SELECT value FROM json_each(?2))),
    (SELECT json_group_array(json_array(reader, context, partition, position))
        FROM json_each(?3) AS wanted CROSS JOIN checkpoints
        WHERE reader = wanted.value ->> 0 AND context = wanted.value ->> 1 AND partition = wanted.value ->> 2)
"""

ROWS = 64
"""Rows of one INSERT statement: of each number of rows up to here a prepared statement is kept."""

INSERT_EVENTS = """
INSERT INTO stored_events (position, originator_id, originator_version, topic, state, partition, recorded_at,
    metadata) VALUES """
INSERT_COMMANDS = "INSERT INTO commands VALUES "
PUT_BACK_COMMANDS = "INSERT OR IGNORE INTO commands VALUES "
PUT_CHECKPOINTS = "INSERT OR REPLACE INTO checkpoints VALUES "
PUT_NOTES = "INSERT OR REPLACE INTO notes VALUES "
DELETE_NOTES = """
DELETE FROM notes WHERE (kind, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
"""

# Data may be any bytes, metadata is always text.
EVENTS = """
SELECT json_group_array(json_array(key, position, originator_id, originator_version, topic, hex(state),
    CAST(metadata AS TEXT), partition))
FROM (SELECT """
STREAMS = EVENTS + "wanted.key, stored_events.* FROM json_each(?) AS wanted CROSS JOIN stored_events WHERE "
LOG = EVENTS + "0 AS key, * FROM stored_events WHERE "

COMMANDS = """
SELECT json_group_array(json_array(command_id, hex(fingerprint), hex(reply)))
FROM commands WHERE command_id IN (SELECT value FROM json_each(?))
"""

NOTES = "SELECT json_group_array(json_array(key, hex(value))) FROM notes WHERE kind = ?"
NOTES_OF_KEYS = NOTES + " AND key IN (SELECT value FROM json_each(?))"  # noqa: S608 - a constant of ours

PARTITION_HEADS = """
SELECT json_group_array(coalesce((SELECT max(position) FROM stored_events
    WHERE partition = wanted.value AND position <= ?), 0)) FROM json_each(?) AS wanted
"""

BEHIND = f"""
SELECT json_group_array(json_array(
    (SELECT count(*) FROM (SELECT 1 FROM stored_events
        WHERE partition = wanted.key AND position > wanted.value LIMIT {COUNTED_AT_MOST})),
    (SELECT recorded_at FROM stored_events
        WHERE partition = wanted.key AND position > wanted.value ORDER BY position LIMIT 1)))
FROM json_each(?) AS wanted
"""  # noqa: S608 - a constant of ours

CHECKPOINTS = """
SELECT json_group_array(json_array(context, partition, position, sequence, sequence_position, created))
FROM checkpoints WHERE reader = ?
"""

HIGHEST = 2**63 - 1

POLL_SECONDS = 0.1
"""How long a subscription rests when there is nothing new."""

PAGE = 500
"""Notifications that a subscription reads at once."""

EventTuple = tuple[int, int, str, int, str, str, str, int]

encode = msgspec.json.Encoder().encode
decode_versions = msgspec.json.Decoder(list[tuple[str, int | None]]).decode
decode_commands = msgspec.json.Decoder(list[tuple[str, str, str]]).decode
decode_positions = msgspec.json.Decoder(list[tuple[str, str, int, int]]).decode
decode_events = msgspec.json.Decoder(list[EventTuple]).decode
decode_metadata = msgspec.json.Decoder(Metadata).decode
decode_notes = msgspec.json.Decoder(list[tuple[str, str]]).decode
decode_heads = msgspec.json.Decoder(list[int]).decode
decode_behind = msgspec.json.Decoder(list[tuple[int, int | None]]).decode
decode_checkpoints = msgspec.json.Decoder(list[tuple[str, int, int, int, int, str]]).decode


class SQLiteEventRecorder(EventRecorder, SQLiteProcessRecorder):
    """Runs every statement."""

    SCHEMA = SCHEMA
    OWN = OWN
    POSITION = "position"
    VALUE = "?"
    ONE_OF = "IN (SELECT value FROM json_each(?))"

    def __init__(self, datastore: SQLiteDatastore) -> None:
        super().__init__(datastore)
        self._written = 0
        """The last position that `insert_group` has committed."""

    def _write(self, group: Group) -> list[Outcome]:
        with self.datastore.transaction(commit=True) as c:
            if isinstance(group, InsertEvents):
                # The library's transactions begin without the lock, and one that has read may not take it.
                c.execute(LOCK)
            outcomes = group.judge(self._current_state(c, group))
            _insert_rows(c, INSERT_EVENTS, group.events)
            _insert_rows(c, INSERT_COMMANDS, [astuple(command) for command in group.commands])
            _insert_rows(
                c, PUT_CHECKPOINTS, [(*key, *astuple(point)) for key, point in group.checkpoints.items()]
            )
            if group.notes:
                kept = [(*key, value) for key, value in group.notes.items() if value is not None]
                _insert_rows(c, PUT_NOTES, kept)
                if len(kept) < len(group.notes):
                    dropped = [key for key, value in group.notes.items() if value is None]
                    c.execute(DELETE_NOTES, (_json(dropped),))
        if group.events:
            self._written = group.events[-1].position
        return outcomes

    def _current_state(self, c: SQLiteCursor, group: Group) -> CurrentState:
        wanted = (_json(group.streams), _json(group.command_ids), _json(group.checkpoint_keys))
        c.execute(CURRENT_STATE, wanted)
        head, versions, commands, checkpoints = c.fetchone()
        if (head or 0) < self._written:
            file = self.datastore.pool.db_name
            raise StoreReplaced(f"the store {file}, which had position {self._written}, was exchanged")
        return CurrentState(
            positions=itertools.count((head or 0) + 1),
            versions={stream: version for stream, version in decode_versions(versions) if version},
            commands=_commands(commands),
            checkpoints={
                (reader, context, partition): position
                for reader, context, partition, position in decode_positions(checkpoints)
            },
        )

    def put_back(self, events: Sequence[Recorded], commands: Sequence[CommandRecord]) -> None:
        with self.datastore.transaction(commit=True) as c:
            _insert_rows(c, INSERT_EVENTS, [row_of(event) for event in events])
            _insert_rows(c, PUT_BACK_COMMANDS, [astuple(command) for command in commands])

    def _value(self, statement: str, *values: object) -> Any:
        with self.datastore.transaction(commit=False) as c:
            c.execute(statement, values)
            return c.fetchone()[0]

    def select_streams(
        self,
        wanted: Sequence[tuple[str, int]],
        *,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[list[Recorded]]:
        clauses = ["originator_id = wanted.value ->> 0", "originator_version > wanted.value ->> 1"]
        values: list[object] = [_json(wanted)]
        if lte is not None:
            clauses.append("originator_version <= ?")
            values.append(lte)
        page = ""
        if limit is not None:
            page = f" ORDER BY originator_version {'DESC' if desc else 'ASC'} LIMIT ?"
            values.append(limit)
        streams: list[list[Recorded]] = [[] for _ in wanted]
        for row in decode_events(self._value(f"{STREAMS}{' AND '.join(clauses)}{page})", *values)):
            streams[row[0]].append(_recorded(row))
        for stream in streams:
            # The index gives them in this order; SQLite does not promise it of an aggregate.
            stream.sort(key=_version, reverse=desc)
        return streams

    def select_log(self, after: int, limit: int, wanted: LogFilter) -> list[Recorded]:
        conditions, values = self._conditions(after, wanted)
        order = "position" if wanted.stream is None else "originator_version"
        statement = f"{LOG}{conditions} ORDER BY {order} LIMIT ?)"
        events = [_recorded(row) for row in decode_events(self._value(statement, *values, limit))]
        events.sort(key=_position)
        return events

    def _list(self, values: Iterable[object]) -> str:
        return _json(values)

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[SQLiteEventRecorder]:
        """Follow the log, also while another process appends."""
        return PollingSubscription(self, gt, topics)

    def partition_heads(self, upto: int | None) -> list[int]:
        partitions = _json(range(PARTITIONS))
        return decode_heads(self._value(PARTITION_HEADS, HIGHEST if upto is None else upto, partitions))

    def behind(self, positions: Sequence[int]) -> list[Behind]:
        return [
            Behind(events, None if oldest is None else instant(oldest))
            for events, oldest in decode_behind(self._value(BEHIND, _json(positions)))
        ]

    def commands(self, wanted: Sequence[str]) -> list[CommandRecord | None]:
        known = _commands(self._value(COMMANDS, _json(wanted)))
        return [known.get(command_id) for command_id in wanted]

    def checkpoints(self, reader: str) -> dict[tuple[str, int], Checkpoint]:
        return {
            (context, partition): Checkpoint(
                position=position, sequence=sequence, sequence_position=sequence_position, created=created
            )
            for context, partition, position, sequence, sequence_position, created in decode_checkpoints(
                self._value(CHECKPOINTS, reader)
            )
        }

    def notes(self, wanted: Sequence[tuple[str, Sequence[str] | None]]) -> list[dict[str, bytes]]:
        return [
            {
                key: bytes.fromhex(value)
                for key, value in decode_notes(
                    self._value(NOTES, kind)
                    if keys is None
                    else self._value(NOTES_OF_KEYS, kind, _json(keys))
                )
            }
            for kind, keys in wanted
        ]


class PollingSubscription(Subscription[SQLiteEventRecorder]):
    """Looks for new events again and again: SQLite tells nobody of a commit."""

    def __init__(self, recorder: SQLiteEventRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._stopped = threading.Event()
        self._page: deque[Notification] = deque()

    def stop(self) -> None:
        """End the iteration; from another thread, too."""
        super().stop()
        self._stopped.set()

    def __next__(self) -> Notification:
        """Wait for the next one."""
        while not self._stopped.is_set():
            if self._page:
                following = self._page.popleft()
                self._last_notification_id = following.id
                return following
            last = self._last_notification_id or 0
            self._page += self._recorder.select_notifications(
                last, PAGE, topics=self._topics, inclusive_of_start=False
            )
            if not self._page:
                self._stopped.wait(POLL_SECONDS)
        raise StopIteration


def _insert_rows(c: SQLiteCursor, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    for start in range(0, len(rows), ROWS):
        chunk = rows[start : start + ROWS]
        row = f"({','.join('?' * len(chunk[0]))})"
        c.execute(statement + ",".join([row] * len(chunk)), list(itertools.chain.from_iterable(chunk)))


def _json(values: Iterable[object]) -> str:
    return encode(values if isinstance(values, (list, set)) else list(values)).decode()


def _commands(rows: str) -> dict[str, CommandRecord]:
    return {
        command_id: CommandRecord(command_id, bytes.fromhex(fingerprint), bytes.fromhex(reply))
        for command_id, fingerprint, reply in decode_commands(rows)
    }


def _recorded(row: EventTuple) -> Recorded:
    _, position, stream, version, name, data, metadata, partition = row
    return Recorded(
        position, stream, version, name, bytes.fromhex(data), decode_metadata(metadata), partition
    )


def _version(event: Recorded) -> int:
    return event.version


def _position(event: Recorded) -> int:
    return event.position
