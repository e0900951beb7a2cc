"""Writes groups of appends to PostgreSQL in two round trips: look under the lock, then write and commit."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from infra.event_store.batch import Group, Standing, row_of
from infra.event_store.errors import Outcome, StoreReplaced
from infra.event_store.postgres.connection import Connection, Line
from infra.event_store.postgres.leadership import CHANNEL
from infra.messages.events import Append, CommandRecord, Recorded

APPEND_LOCK = "SELECT pg_advisory_xact_lock(4240, 1)"
"""Positions are drawn under this lock, held until the commit: they become visible in their order."""

POSITIONS = """
SELECT nextval(pg_get_serial_sequence('stored_events', 'notification_id')) FROM generate_series(1, %s)
"""

VERSIONS = """
SELECT stream, (SELECT max(originator_version) FROM stored_events WHERE originator_id = stream)
FROM unnest(%s::text[]) AS wanted (stream)
"""

COMMANDS = "SELECT command_id, fingerprint, reply FROM commands WHERE command_id = ANY(%s::text[])"

CHECKPOINTS = """
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


class PostgresWriter:
    """One of the database's writers."""

    def __init__(self, line: Line, name: str) -> None:
        self._line = line
        self._name = name
        self._written = 0
        """The last position this process has committed."""

    def write(self, appends: Sequence[Append]) -> list[Outcome]:
        """Write in one transaction what holds, and answer each append."""
        group = Group(appends)
        try:
            connection, standing = self._look(group)
            try:
                outcomes = group.judge(standing)
                if group.admitted:
                    self._commit(connection, group)
                    if group.events:
                        self._written = group.events[-1].position
            finally:
                self._abandon(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise self._line.unavailable(error) from error
        return outcomes

    def _look(self, group: Group) -> tuple[Connection, Standing]:
        """Begin, take the lock, read; once more if only now it shows that the connection was lost."""
        connection = self._line.open()
        try:
            return connection, self._standing(connection, group)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if not connection.closed:
                raise
        # Nothing was written yet.
        connection = self._line.open()
        return connection, self._standing(connection, group)

    def _standing(self, connection: Connection, group: Group) -> Standing:
        try:
            with connection.pipeline():
                execute = connection.execute
                execute("BEGIN")
                execute(APPEND_LOCK)
                positions = execute(POSITIONS, (group.event_count,), binary=True)
                versions = execute(VERSIONS, (list(group.streams),), binary=True)
                commands = execute(COMMANDS, (list(group.command_ids),), binary=True)
                keys = list(zip(*group.checkpoint_keys, strict=True)) or [(), (), ()]
                checkpoints = execute(CHECKPOINTS, [list(column) for column in keys], binary=True)
        except BaseException:
            self._abandon(connection)
            raise
        drawn = sorted(position for (position,) in positions)
        if drawn and drawn[0] <= self._written:
            self._abandon(connection)
            raise StoreReplaced(f"the store's database, which had position {self._written}, was restored")
        return Standing(
            positions=iter(drawn),
            versions={stream: version for stream, version in versions if version is not None},
            commands={row[0]: CommandRecord(*row) for row in commands},
            checkpoints={row[:3]: row[3] for row in checkpoints},
        )

    def _commit(self, connection: Connection, group: Group) -> None:
        with connection.pipeline():
            execute = connection.execute
            if group.events:
                execute(INSERT_EVENTS, _columns(group.events))
            if group.commands:
                execute(
                    INSERT_COMMANDS,
                    _columns([(c.command_id, c.fingerprint, c.reply) for c in group.commands]),
                )
            if group.checkpoints:
                execute(
                    PUT_CHECKPOINTS,
                    _columns(
                        [
                            (*key, point.position, point.sequence, point.sequence_position, point.created)
                            for key, point in group.checkpoints.items()
                        ]
                    ),
                )
            kept = [(*key, value) for key, value in group.notes.items() if value is not None]
            if kept:
                execute(PUT_NOTES, _columns(kept))
            dropped = [key for key, value in group.notes.items() if value is None]
            if dropped:
                execute(DELETE_NOTES, _columns(dropped))
            execute(NOTIFY, (CHANNEL, self._name))
            execute("COMMIT")

    def _abandon(self, connection: Connection) -> None:
        """Roll back whatever is open."""
        if connection.closed or connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            return
        try:
            connection.rollback()
        except psycopg.Error:
            self._line.close()

    def put_back(self, events: Sequence[Recorded], commands: Sequence[CommandRecord]) -> None:
        """Write events where they stood, and the commands that caused them, in one transaction."""
        connection = self._line.open()
        try:
            with connection.transaction():
                connection.execute(APPEND_LOCK)
                connection.execute(INSERT_EVENTS, _columns([row_of(event) for event in events]))
                if commands:
                    records = [(c.command_id, c.fingerprint, c.reply) for c in commands]
                    connection.execute(f"{INSERT_COMMANDS} ON CONFLICT DO NOTHING", _columns(records))
                connection.execute(DRAWN, (events[-1].position,))
        except psycopg.Error as error:
            raise self._line.unavailable(error) from error

    def check(self) -> None:
        """Its positions are compared by every write."""

    def interrupt(self) -> None:
        """Let a write that hangs fail."""
        self._line.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._line.close()


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
