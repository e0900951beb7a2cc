"""The eventsourcing library's own cases for recorders, on the recorders that production runs."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.sqlite import SQLiteDatastore
from psycopg.conninfo import conninfo_to_dict

from infra.event_store.postgres.recorder import PostgresEventRecorder
from infra.event_store.sqlite.recorder import SQLiteEventRecorder
from tests.support.deadlines import HOLDS_SECONDS

# The cases' module also has cases for the library's cipher, which needs a package that nothing here uses.
with patch.dict(sys.modules, {"eventsourcing.cipher": SimpleNamespace(AESCipher=None)}):
    from eventsourcing.tests import persistence as library


def readers_end() -> None:
    """Wait for the threads that a case has left reading: on a connection closed under them SQLite crashes."""
    for thread in threading.enumerate():
        if thread.name.endswith("(read_continuously)"):
            thread.join(HOLDS_SECONDS)
            assert not thread.is_alive()


class OnSQLite:
    """A recorder on a fresh file, with the library's pool: the cases use it from several threads."""

    datastore: SQLiteDatastore

    @pytest.fixture(autouse=True)
    def fresh(self, sqlite_store: str) -> Any:
        self.datastore = SQLiteDatastore(sqlite_store.removeprefix("sqlite:"), originator_id_type="text")
        yield
        readers_end()
        self.datastore.close()

    def create_recorder(self) -> SQLiteEventRecorder:
        recorder = SQLiteEventRecorder(self.datastore)
        recorder.create_table()
        return recorder

    def new_originator_id(self) -> str:
        return f"order-{uuid.uuid4()}"


class OnPostgres:
    """A recorder on a fresh database, with the library's pool."""

    datastore: PostgresDatastore

    @pytest.fixture(autouse=True)
    def fresh(self, postgres_store: str) -> Any:
        known = conninfo_to_dict(postgres_store)
        self.datastore = PostgresDatastore(
            dbname=str(known["dbname"]),
            host=str(known["host"]),
            port=str(known["port"]),
            user=str(known["user"]),
            password="",
            max_overflow=9,
            originator_id_type="text",
        )
        yield
        readers_end()
        self.datastore.close()

    def create_recorder(self) -> PostgresEventRecorder:
        recorder = PostgresEventRecorder(self.datastore)
        recorder.create_table()
        return recorder

    def new_originator_id(self) -> str:
        return f"order-{uuid.uuid4()}"


class WithoutPositions:
    """The cases of a recorder of aggregates alone expect no positions; ours always has them."""

    def __init__(self, recorder: SQLiteEventRecorder | PostgresEventRecorder) -> None:
        self._recorder = recorder
        self.select_events = recorder.select_events

    def insert_events(self, stored_events: Sequence[StoredEvent]) -> None:
        self._recorder.insert_events(stored_events)


class TestStreamsOnSQLite(OnSQLite, library.AggregateRecorderTestCase):
    def create_recorder(self) -> Any:
        return WithoutPositions(super().create_recorder())


class TestStreamsOnPostgres(OnPostgres, library.AggregateRecorderTestCase):
    def create_recorder(self) -> Any:
        return WithoutPositions(super().create_recorder())


class TestLogOnSQLite(OnSQLite, library.ApplicationRecorderTestCase[SQLiteEventRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestLogOnPostgres(OnPostgres, library.ApplicationRecorderTestCase[PostgresEventRecorder]):
    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = False

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPositionsOnSQLite(OnSQLite, library.NonInterleavingNotificationIDsBaseCase):
    pass


class TestPositionsOnPostgres(OnPostgres, library.NonInterleavingNotificationIDsBaseCase):
    pass


class TestTrackingOnSQLite(OnSQLite, library.TrackingRecorderTestCase):
    pass


class TestTrackingOnPostgres(OnPostgres, library.TrackingRecorderTestCase):
    pass


class TestProcessOnSQLite(OnSQLite, library.ProcessRecorderTestCase):
    pass


class TestProcessOnPostgres(OnPostgres, library.ProcessRecorderTestCase):
    pass
