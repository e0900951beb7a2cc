"""A context's events in one SQLite file, which one process at a time may open."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

from eventsourcing.persistence import PersistenceError
from eventsourcing.sqlite import SQLiteDatastore

from infra.event_store.errors import StoreUnavailable
from infra.event_store.sqlite.datastore import SingleConnectionDatastore
from infra.event_store.sqlite.file import FileLock
from infra.event_store.sqlite.recorder import SQLiteEventRecorder


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


class SQLiteDatabase:
    """One file, locked while it is open."""

    shared = False

    def __init__(self, context: str, path: Path) -> None:
        """Open or create the file; raises StoreUnavailable."""
        self._path = path
        self.head_note: Path | None = path.with_name(path.name + ".head")
        self._lock = FileLock(path)
        try:
            self._prepare(context)
        except (sqlite3.Error, PersistenceError, OSError) as error:
            self._lock.release()
            # SQLite itself notices a file that is no database or cut off, by its header and size.
            msg = f"the store {path} cannot be used ({error}): restore it from a backup, or check its folder"
            raise StoreUnavailable(msg) from error
        except BaseException:
            self._lock.release()
            raise

    def _prepare(self, context: str) -> None:
        datastore = SQLiteDatastore(str(self._path), originator_id_type="text")
        try:
            owner = SQLiteEventRecorder(datastore).claim(context)
        finally:
            datastore.close()
        if owner != context:
            msg = f"the store {self._path} belongs to {owner}, not to {context}: give each context its own"
            raise StoreUnavailable(msg)

    def connect(self) -> SingleConnectionDatastore:
        """A connection; in WAL mode its reads see the last commit and never wait."""
        return SingleConnectionDatastore(self._path)

    def leader_election(self) -> Alone:
        """None."""
        return Alone()

    def close(self) -> None:
        """Unlock the file."""
        self._lock.release()
