"""A context's events in one SQLite file, which one process at a time may open."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eventsourcing.persistence import Notification, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteCursor, SQLiteDatastore

from infra.event_store.batch import encode_metadata, microseconds
from infra.event_store.errors import StoreUnavailable
from infra.event_store.sqlite.file import FileLock, connect
from infra.event_store.sqlite.reader import SQLiteReader
from infra.event_store.sqlite.writer import SQLiteWriter
from infra.messages.events import Metadata, key_of, partition_of


class Alone:
    """There are no other processes to wait for or to hear of."""

    def __init__(self) -> None:
        self.lost_lead = asyncio.Event()

    async def lead(self) -> None:
        """At once, and for good."""

    def hear(self, committed: Callable[[], None]) -> None:
        """Nobody else commits."""

    async def close(self) -> None:
        """Nothing is held."""


SCHEMA = (
    # `position` is the rowid, so the library's own statements about rowids hold.
    """CREATE TABLE IF NOT EXISTS {events} (
        position INTEGER PRIMARY KEY,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        partition INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        metadata BLOB NOT NULL,
        UNIQUE (originator_id, originator_version))""",
    "CREATE INDEX IF NOT EXISTS {events}_partition ON {events} (partition, position)",
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

INSERT = """
INSERT INTO {events} (originator_id, originator_version, topic, state, partition, recorded_at, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

SELECT = "SELECT position, originator_id, originator_version, topic, state FROM {events}"


class SQLiteEventRecorder(SQLiteApplicationRecorder):
    """The library's recorder on a table with Orderfold's columns."""

    def __init__(self, datastore: SQLiteDatastore, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name)
        self.insert_events_statement = INSERT.format(events=events_table_name)

    def construct_create_table_statements(self) -> list[str]:
        """The whole schema."""
        return [statement.format(events=self.events_table_name) for statement in SCHEMA]

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int]:
        metadata: Metadata = kwargs.get("metadata") or Metadata(
            time=datetime.now(UTC), causation_id="", correlation_id="", actor=""
        )
        encoded, recorded_at = encode_metadata(metadata), microseconds(metadata.time)
        positions: list[int] = []
        for event in stored_events:
            stream = str(event.originator_id)
            partition = partition_of(key_of(stream))
            c.execute(
                self.insert_events_statement,
                (stream, event.originator_version, event.topic, event.state, partition, recorded_at, encoded),
            )
            positions.append(c.lastrowid)
        return positions

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The library's, under the column's own name: SQLite calls a rowid by it."""
        clauses: list[str] = []
        values: list[Any] = []
        if start is not None:
            clauses.append("position >= ?" if inclusive_of_start else "position > ?")
            values.append(start)
        if stop is not None:
            clauses.append("position <= ?")
            values.append(stop)
        if topics:
            clauses.append(f"topic IN ({','.join('?' * len(topics))})")
            values += topics
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        with self.datastore.transaction(commit=False) as c:
            statement = SELECT.format(events=self.events_table_name)
            c.execute(f"{statement} {where} ORDER BY position LIMIT ?", [*values, limit])
            return [
                Notification(
                    id=row["position"],
                    originator_id=self.convert_originator_id(row["originator_id"]),
                    originator_version=row["originator_version"],
                    topic=row["topic"],
                    state=row["state"],
                )
                for row in c.fetchall()
            ]


class SQLiteDatabase:
    """One file, locked while it is open."""

    shared = False

    def __init__(self, context: str, path: Path) -> None:
        """Open or create the file; raises StoreUnavailable."""
        self._path = path
        self.head_note: Path | None = path.with_name(path.name + ".head")
        self._lock = FileLock(path)
        try:
            self._datastore = SQLiteDatastore(str(path), originator_id_type="text")
            self._prepare(context)
        except (sqlite3.Error, OSError) as error:
            self._lock.release()
            # SQLite itself notices a file that is no database or cut off, by its header and size.
            msg = f"the store {path} cannot be used ({error}): restore it from a backup, or check its folder"
            raise StoreUnavailable(msg) from error
        except BaseException:
            self._lock.release()
            raise

    def _prepare(self, context: str) -> None:
        connection = connect(self._path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            recorder = SQLiteEventRecorder(self._datastore)
            for statement in recorder.create_table_statements:
                connection.execute(statement)
            connection.execute(
                "INSERT INTO owner SELECT ? WHERE NOT EXISTS (SELECT 1 FROM owner)", (context,)
            )
            (owner,) = connection.execute("SELECT context FROM owner").fetchone()
            connection.execute("COMMIT")
        finally:
            connection.close()
        if owner != context:
            msg = f"the store {self._path} belongs to {owner}, not to {context}: give each context its own"
            raise StoreUnavailable(msg)

    def writer(self) -> SQLiteWriter:
        """The connection that writes."""
        return SQLiteWriter(connect(self._path), self._path)

    def reader(self) -> SQLiteReader:
        """A connection that reads; in WAL mode it sees the last commit and never waits."""
        return SQLiteReader(connect(self._path), self._path)

    def leader_election(self) -> Alone:
        """None."""
        return Alone()

    def close(self) -> None:
        """Unlock the file."""
        self._datastore.close()
        self._lock.release()
