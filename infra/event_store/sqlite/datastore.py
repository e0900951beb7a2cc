"""One connection of one thread to a SQLite file, in the place of the library's pool."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from eventsourcing.persistence import IntegrityError
from eventsourcing.sqlite import SQLiteCursor, SQLiteDatastore

from infra.event_store.errors import StoreUnavailable
from infra.event_store.sqlite.file import OpenedFile, connect
from infra.event_store.sqlite.recorder import SQLiteEventRecorder


class SingleConnectionDatastore(SQLiteDatastore):
    """Has Orderfold's durability, keeps its statements prepared, and notices a file that was exchanged."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._path = path
        self._file = OpenedFile(path)
        super().__init__(str(path), originator_id_type="text")
        self.recorder = SQLiteEventRecorder(self)

    @contextlib.contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """Raises StoreUnavailable; IntegrityError or sqlite3.Error for what the file does not take.

        A statement that reads sees the last commit and waits for nothing: it needs no transaction.
        """
        cursor = SQLiteCursor(self._connection.cursor())
        try:
            if not commit:
                yield cursor
                return
            with self._file.changing():
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    yield cursor
                    cursor.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        cursor.execute("ROLLBACK")
        except sqlite3.IntegrityError as error:
            raise IntegrityError(error) from error
        except sqlite3.Error as error:
            # "database disk image is malformed" is DatabaseError itself; the others are a value's fault.
            unavailable = isinstance(error, sqlite3.OperationalError | sqlite3.InternalError)
            if commit and not unavailable and type(error) is not sqlite3.DatabaseError:
                raise
            verb = "written" if commit else "read"
            msg = f"the store {self._path} cannot be {verb} ({error}): check its disk and file"
            raise StoreUnavailable(msg) from error

    def check(self) -> None:
        """Raises StoreReplaced if the file was exchanged."""
        self._file.check()

    def interrupt(self) -> None:
        """Let the statement under way fail."""
        with contextlib.suppress(sqlite3.ProgrammingError):
            self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __del__(self) -> None:
        """Whoever has opened it closes it."""
