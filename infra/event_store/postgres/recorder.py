"""Every statement that a context's PostgreSQL database is written and read with, as the library's recorder.

A group is written in two round trips: look under the lock, then write and commit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import psycopg
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from msgspec.structs import astuple
from psycopg import Cursor
from psycopg.rows import tuple_row

from infra.event_store.batch import (
    CurrentState,
    Group,
    instant,
    row_of,
)
from infra.event_store.errors import Outcome, StoreReplaced
from infra.event_store.postgres.leadership import CHANNEL
from infra.event_store.recorder import COUNTED_AT_MOST, EventRecorder, LogFilter
from infra.messages.events import PARTITIONS, Behind, Checkpoint, CommandRecord, Metadata, Recorded

SCHEMA = (
    # Of two processes that start at once the second waits, and then finds everything made.
    "SELECT pg_advisory_xact_lock(4240, 0)",
    """CREATE TABLE IF NOT EXISTS stored_events (
        originator_id text COLLATE "C" NOT NULL,
        originator_version bigint NOT NULL,
        topic text NOT NULL,
        state bytea NOT NULL,
        notification_id bigserial,
        partition smallint NOT NULL,
        recorded_at bigint NOT NULL,
        metadata bytea NOT NULL,
        PRIMARY KEY (originator_id, originator_version))""",
    "CREATE UNIQUE INDEX IF NOT EXISTS stored_events_notification_id_idx ON stored_events (notification_id)",
    "CREATE INDEX IF NOT EXISTS stored_events_partition ON stored_events (partition, notification_id)",
    """CREATE TABLE IF NOT EXISTS commands (
        command_id text COLLATE "C" PRIMARY KEY,
        fingerprint bytea NOT NULL,
        reply bytea NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS checkpoints (
        reader text NOT NULL,
        context text NOT NULL,
        partition integer NOT NULL,
        position bigint NOT NULL,
        sequence bigint NOT NULL,
        sequence_position bigint NOT NULL,
        created text NOT NULL,
        PRIMARY KEY (reader, context, partition)) WITH (fillfactor = 50)""",
    """CREATE TABLE IF NOT EXISTS notes (
        kind text NOT NULL,
        key text COLLATE "C" NOT NULL,
        value bytea NOT NULL,
        PRIMARY KEY (kind, key))""",
    "CREATE TABLE IF NOT EXISTS owner (context text PRIMARY KEY)",
)

OWN = "INSERT INTO owner SELECT %s::text WHERE NOT EXISTS (SELECT 1 FROM owner)"
APPEND_LOCK = "SELECT pg_advisory_xact_lock(4240, 1)"
"""Positions are drawn under this lock, held until the commit: they become visible in their order.

The library locks the table itself, which autovacuum does too: then appends would wait for it.
"""

POSITIONS = """
SELECT nextval(pg_get_serial_sequence('stored_events', 'notification_id')) FROM generate_series(1, %s)
"""

VERSIONS = """
SELECT stream, (SELECT max(originator_version) FROM stored_events WHERE originator_id = stream)
FROM unnest(%s::text[]) AS wanted (stream)
"""

COMMANDS = "SELECT command_id, fingerprint, reply FROM commands WHERE command_id = ANY(%s::text[])"

CHECKPOINT_POSITIONS = """
SELECT reader, context, partition, position FROM checkpoints
JOIN unnest(%s::text[], %s::text[], %s::int[]) AS wanted (reader, context, partition)
USING (reader, context, partition)
"""

INSERT_EVENTS = """
INSERT INTO stored_events (notification_id, originator_id, originator_version, topic, state, partition,
    recorded_at, metadata)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::bytea[], %s::smallint[],
    %s::bigint[], %s::bytea[])
"""

INSERT_COMMANDS = "INSERT INTO commands SELECT * FROM unnest(%s::text[], %s::bytea[], %s::bytea[])"
PUT_BACK_COMMANDS = f"{INSERT_COMMANDS} ON CONFLICT DO NOTHING"

PUT_CHECKPOINTS = """
INSERT INTO checkpoints
SELECT * FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[])
ON CONFLICT (reader, context, partition) DO UPDATE SET position = excluded.position,
    sequence = excluded.sequence, sequence_position = excluded.sequence_position, created = excluded.created
"""

PUT_NOTES = """
INSERT INTO notes SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[])
ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value
"""

DELETE_NOTES = """
DELETE FROM notes USING unnest(%s::text[], %s::text[]) AS gone (kind, key)
WHERE notes.kind = gone.kind AND notes.key = gone.key
"""

DRAWN = """
SELECT setval(sequence, greatest(%s, nextval(sequence)))
FROM pg_get_serial_sequence('stored_events', 'notification_id') AS sequence
"""

NOTIFY = "SELECT pg_notify(%s, %s)"

COLUMNS = "notification_id, originator_id, originator_version, topic, state, metadata, partition"

STREAMS = f"""
SELECT {COLUMNS}, nth FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS wanted (stream, after, nth)
JOIN stored_events ON originator_id = stream AND originator_version > after
"""  # noqa: S608 - a constant of ours

LOG = f"SELECT {COLUMNS} FROM stored_events WHERE "  # noqa: S608 - a constant of ours

HEAD = "SELECT max(notification_id) FROM stored_events"

PARTITION_HEADS = """
SELECT coalesce((SELECT max(notification_id) FROM stored_events
    WHERE partition = number AND notification_id <= %s::bigint), 0)
FROM generate_series(0, %s) AS number ORDER BY number
"""

BEHIND = f"""
SELECT (SELECT count(*) FROM (SELECT 1 FROM stored_events
        WHERE partition = nth - 1 AND notification_id > after LIMIT {COUNTED_AT_MOST}) AS counted),
    (SELECT recorded_at FROM stored_events
        WHERE partition = nth - 1 AND notification_id > after ORDER BY notification_id LIMIT 1)
FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (after, nth) ORDER BY nth
"""  # noqa: S608 - a constant of ours

CHECKPOINTS = """
SELECT context, partition, position, sequence, sequence_position, created FROM checkpoints WHERE reader = %s
"""

NOTES = "SELECT key, value FROM notes WHERE kind = %s"
NOTES_OF_KEYS = NOTES + " AND key = ANY(%s::text[])"

HIGHEST = 2**63 - 1

Connection = psycopg.Connection[Any]
Row = tuple[Any, ...]

decode_metadata = msgspec.json.Decoder(Metadata).decode


class PostgresEventRecorder(EventRecorder, PostgresProcessRecorder):
    """Runs every statement."""

    SCHEMA = SCHEMA
    OWN = OWN
    POSITION = "notification_id"
    VALUE = "%s"
    ONE_OF = "= ANY(%s::{}[])"

    def __init__(self, datastore: PostgresDatastore, *, sender: str = "", **_: str) -> None:
        """Commits are signed by `sender`. Names that an application has for its tables are ignored."""
        super().__init__(datastore)
        self._sender = sender
        self._written = 0
        """The last position this process has committed."""

    def _write(self, group: Group) -> list[Outcome]:
        with self._begun(group) as (connection, state):
            try:
                outcomes = group.judge(state)
                if group.admitted:
                    self._commit(connection, group)
            finally:
                _abandon(connection)
        if group.events:
            self._written = group.events[-1].position
        return outcomes

    @contextlib.contextmanager
    def _begun(self, group: Group) -> Iterator[tuple[Connection, CurrentState]]:
        """A transaction with the lock; on a new connection if only now it shows that the old one was lost."""
        with self.datastore.get_connection() as connection:
            try:
                state = self._current_state(connection, group)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if not connection.closed:
                    raise
            else:
                yield connection, state
                return
        # Nothing was written yet.
        with self.datastore.get_connection() as connection:
            yield connection, self._current_state(connection, group)

    def _current_state(self, connection: Connection, group: Group) -> CurrentState:
        """Begin, take the lock, read."""
        try:
            with connection.pipeline():
                _execute(connection, "BEGIN")
                _execute(connection, APPEND_LOCK)
                positions = _execute(connection, POSITIONS, (group.event_count,))
                versions = _execute(connection, VERSIONS, (list(group.streams),))
                commands = _execute(connection, COMMANDS, (list(group.command_ids),))
                keys = list(zip(*group.checkpoint_keys, strict=True)) or [(), (), ()]
                checkpoints = _execute(connection, CHECKPOINT_POSITIONS, [list(column) for column in keys])
        except BaseException:
            _abandon(connection)
            raise
        drawn = sorted(position for (position,) in positions)
        if drawn and drawn[0] <= self._written:
            _abandon(connection)
            raise StoreReplaced(f"the store's database, which had position {self._written}, was restored")
        return CurrentState(
            positions=iter(drawn),
            versions={stream: version for stream, version in versions if version is not None},
            commands={row[0]: CommandRecord(*row) for row in commands},
            checkpoints={row[:3]: row[3] for row in checkpoints},
        )

    def _commit(self, connection: Connection, group: Group) -> None:
        with connection.pipeline():
            if group.events:
                _execute(connection, INSERT_EVENTS, _columns(group.events))
            if group.commands:
                _execute(connection, INSERT_COMMANDS, _columns([astuple(c) for c in group.commands]))
            if group.checkpoints:
                points = [(*key, *astuple(point)) for key, point in group.checkpoints.items()]
                _execute(connection, PUT_CHECKPOINTS, _columns(points))
            kept = [(*key, value) for key, value in group.notes.items() if value is not None]
            if kept:
                _execute(connection, PUT_NOTES, _columns(kept))
            dropped = [key for key, value in group.notes.items() if value is None]
            if dropped:
                _execute(connection, DELETE_NOTES, _columns(dropped))
            _execute(connection, NOTIFY, (CHANNEL, self._sender))
            _execute(connection, "COMMIT")

    def put_back(self, events: Sequence[Recorded], commands: Sequence[CommandRecord]) -> None:
        with self.datastore.get_connection() as connection, connection.transaction():
            _execute(connection, APPEND_LOCK)
            _execute(connection, INSERT_EVENTS, _columns([row_of(event) for event in events]))
            if commands:
                _execute(connection, PUT_BACK_COMMANDS, _columns([astuple(command) for command in commands]))
            _execute(connection, DRAWN, (events[-1].position,))

    def _rows(self, statement: str, *values: object) -> list[Row]:
        with self.datastore.get_connection() as connection:
            try:
                return _execute(connection, statement, values).fetchall()
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if not connection.closed:
                    raise
        # The connection was lost since it was last used: reading again is harmless.
        with self.datastore.get_connection() as connection:
            return _execute(connection, statement, values).fetchall()

    def select_streams(
        self,
        wanted: Sequence[tuple[str, int]],
        *,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[list[Recorded]]:
        statement = STREAMS
        values: list[object] = [[stream for stream, _ in wanted], [after for _, after in wanted]]
        if lte is not None:
            statement += " AND originator_version <= %s::bigint"
            values.append(lte)
        statement += f" ORDER BY nth, originator_version {'DESC' if desc else 'ASC'}"
        if limit is not None:
            statement += " LIMIT %s"
            values.append(limit)
        streams: list[list[Recorded]] = [[] for _ in wanted]
        for row in self._rows(statement, *values):
            streams[row[7] - 1].append(_recorded(row))
        return streams

    def select_log(self, after: int, limit: int, wanted: LogFilter) -> list[Recorded]:
        conditions, values = self._conditions(after, wanted)
        # Within a stream versions are ordered like positions.
        order = "notification_id" if wanted.stream is None else "originator_version"
        statement = f"{LOG}{conditions} ORDER BY {order} LIMIT %s"
        return [_recorded(row) for row in self._rows(statement, *values, limit)]

    def _list(self, values: Iterable[object]) -> list[object]:
        return list(values)

    def max_notification_id(self) -> int | None:
        ((head,),) = self._rows(HEAD)
        return head if head is None else int(head)

    def partition_heads(self, upto: int | None) -> list[int]:
        rows = self._rows(PARTITION_HEADS, HIGHEST if upto is None else upto, PARTITIONS - 1)
        return [head for (head,) in rows]

    def behind(self, positions: Sequence[int]) -> list[Behind]:
        return [
            Behind(events, None if oldest is None else instant(oldest))
            for events, oldest in self._rows(BEHIND, list(positions))
        ]

    def commands(self, wanted: Sequence[str]) -> list[CommandRecord | None]:
        known = {row[0]: CommandRecord(*row) for row in self._rows(COMMANDS, list(wanted))}
        return [known.get(command_id) for command_id in wanted]

    def checkpoints(self, reader: str) -> dict[tuple[str, int], Checkpoint]:
        return {
            (context, partition): Checkpoint(
                position=position, sequence=sequence, sequence_position=sequence_position, created=created
            )
            for context, partition, position, sequence, sequence_position, created in self._rows(
                CHECKPOINTS, reader
            )
        }

    def notes(self, wanted: Sequence[tuple[str, Sequence[str] | None]]) -> list[dict[str, bytes]]:
        return [
            dict(self._rows(NOTES, kind) if keys is None else self._rows(NOTES_OF_KEYS, kind, list(keys)))
            for kind, keys in wanted
        ]


def _execute(connection: Connection, statement: str, values: Sequence[object] = ()) -> Cursor[Row]:
    # The library's connections make dictionaries of rows.
    return connection.cursor(binary=True, row_factory=tuple_row).execute(statement, values)


def _abandon(connection: Connection) -> None:
    """Roll back whatever is open."""
    if connection.closed or connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        return
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _recorded(row: Row) -> Recorded:
    position, stream, version, name, data, metadata, partition = row[:7]
    return Recorded(position, stream, version, name, data, decode_metadata(metadata), partition)
