"""A context's events in a PostgreSQL database, which several processes may use at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Cursor
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from infra.event_store.batch import encode_metadata, microseconds
from infra.event_store.errors import StoreUnavailable
from infra.event_store.postgres.connection import Line, parameters, place
from infra.event_store.postgres.leadership import PostgresLeaderElection
from infra.event_store.postgres.reader import PostgresReader
from infra.event_store.postgres.writer import APPEND_LOCK, PostgresWriter
from infra.messages.events import Metadata, key_of, partition_of

SCHEMA = (
    # Of two processes that start at once the second waits, and then finds everything made.
    "SELECT pg_advisory_xact_lock(4240, 0)",
    """CREATE TABLE IF NOT EXISTS {events} (
        originator_id text COLLATE "C" NOT NULL,
        originator_version bigint NOT NULL,
        topic text NOT NULL,
        state bytea NOT NULL,
        notification_id bigserial,
        partition smallint NOT NULL,
        recorded_at bigint NOT NULL,
        metadata bytea NOT NULL,
        PRIMARY KEY (originator_id, originator_version))""",
    "CREATE UNIQUE INDEX IF NOT EXISTS {notification_index} ON {events} (notification_id)",
    "CREATE INDEX IF NOT EXISTS {partition_index} ON {events} (partition, notification_id)",
    """CREATE TABLE IF NOT EXISTS {schema}.commands (
        command_id text COLLATE "C" PRIMARY KEY,
        fingerprint bytea NOT NULL,
        reply bytea NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS {schema}.checkpoints (
        reader text NOT NULL,
        context text NOT NULL,
        partition integer NOT NULL,
        position bigint NOT NULL,
        sequence bigint NOT NULL,
        sequence_position bigint NOT NULL,
        created text NOT NULL,
        PRIMARY KEY (reader, context, partition)) WITH (fillfactor = 50)""",
    """CREATE TABLE IF NOT EXISTS {schema}.notes (
        kind text NOT NULL,
        key text COLLATE "C" NOT NULL,
        value bytea NOT NULL,
        PRIMARY KEY (kind, key))""",
    "CREATE TABLE IF NOT EXISTS {schema}.owner (context text PRIMARY KEY)",
)


class PostgresEventRecorder(PostgresApplicationRecorder):
    """The library's recorder on a table with Orderfold's columns."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        names = {
            "schema": Identifier(datastore.schema),
            "events": Identifier(datastore.schema, events_table_name),
            "notification_index": Identifier(self.notification_id_index_name),
            "partition_index": Identifier(f"{events_table_name}_partition"),
        }
        # The library's composite type and function know nothing of the added columns: neither is made.
        self.sql_create_statements = [SQL(statement).format(**names) for statement in SCHEMA]
        # Positions become visible in order because they are drawn under a lock held until the commit. The
        # library locks the table itself, which autovacuum does too: then appends would wait for it.
        self.lock_table_statements = [APPEND_LOCK]
        self.insert_events_statement = SQL(
            "INSERT INTO {events} (originator_id, originator_version, topic, state, partition,"
            " recorded_at, metadata)"
            " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bytea[], %s::smallint[]),"
            " (VALUES (%s::bigint, %s::bytea)) AS common RETURNING notification_id"
        ).format(**names)

    def _insert_stored_events(
        self, curs: Cursor[DictRow], stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> None:
        metadata: Metadata = kwargs.get("metadata") or Metadata(
            time=datetime.now(UTC), causation_id="", correlation_id="", actor=""
        )
        streams = [str(event.originator_id) for event in stored_events]
        self._lock_table(curs)
        self._notify_channel(curs)
        curs.execute(
            self.insert_events_statement,
            (
                streams,
                [event.originator_version for event in stored_events],
                [event.topic for event in stored_events],
                [event.state for event in stored_events],
                [partition_of(key_of(stream)) for stream in streams],
                microseconds(metadata.time),
                encode_metadata(metadata),
            ),
        )


def datastore_of(known: dict[str, Any]) -> PostgresDatastore:
    """The library's datastore for a database, with all of its connection parameters."""
    datastore = PostgresDatastore(
        dbname=known.get("dbname", ""),
        host=known.get("host", ""),
        port=known.get("port", 5432),
        user=known.get("user", ""),
        password=known.get("password", ""),
        pool_size=1,
        max_overflow=9,
        originator_id_type="text",
    )
    assert isinstance(datastore.pool.kwargs, dict)
    datastore.pool.kwargs.update(known)
    return datastore


class PostgresDatabase:
    """One database per context."""

    shared = True
    head_note: Path | None = None

    def __init__(self, context: str, url: str) -> None:
        """Connect and make what is missing; raises StoreUnavailable."""
        self._known = parameters(url)
        line = Line(self._known)
        # First, because it says in one line what is wrong; the pool would only time out.
        line.open()
        datastore = datastore_of(self._known)
        try:
            PostgresEventRecorder(datastore).create_table()
            connection = line.open()
            connection.execute(
                "INSERT INTO owner SELECT %s::text WHERE NOT EXISTS (SELECT 1 FROM owner)", (context,)
            )
            owner = connection.execute("SELECT context FROM owner").fetchone()
        except (psycopg.Error, PersistenceError) as error:
            where = place(self._known)
            msg = f"the store {where} cannot be prepared ({error}): may its user create tables?"
            raise StoreUnavailable(msg) from error
        finally:
            datastore.close()
            line.close()
        if owner != (context,):
            belongs = f"belongs to {owner and owner[0]}, not to {context}"
            msg = f"the store {place(self._known)} {belongs}: give each context its own"
            raise StoreUnavailable(msg)
        self._election = PostgresLeaderElection(self._known)

    def writer(self) -> PostgresWriter:
        """A connection that writes, and signs its commits."""
        return PostgresWriter(Line(self._known), self._election.name)

    def reader(self) -> PostgresReader:
        """A connection that reads."""
        return PostgresReader(Line(self._known))

    def leader_election(self) -> PostgresLeaderElection:
        """The other processes that use this database."""
        return self._election

    def close(self) -> None:
        """Nothing is left to let go of."""
