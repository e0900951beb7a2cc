"""Wrapped keys in a SQLite file: what is deleted is overwritten."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.event_store.errors import StoreUnavailable
from infra.vault.table import LOST, KeyStoreGone, Wrapped

BUSY_SECONDS = 5.0
BUSY_PAUSE = 0.02

SCHEMA = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    """CREATE TABLE IF NOT EXISTS keys (
        subject TEXT PRIMARY KEY,
        master_id TEXT NOT NULL,
        wrapped BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS keys_master ON keys (master_id)",
    "CREATE TABLE IF NOT EXISTS retired (master_id TEXT PRIMARY KEY) WITHOUT ROWID",
)


class SQLiteTable:
    """Keys in a file. What is deleted is overwritten with zeros, in the file and in its write-ahead log."""

    def __init__(self, path: Path, *, make: bool = True) -> None:
        """Open the file; one that is missing is made only if that is wanted. Raises StoreUnavailable."""
        self._path = path
        if not make and not path.exists():
            raise KeyStoreGone(f"the key store {path} is missing: restore it from its backup")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            path.chmod(0o600)
            self._prepare()
            # What another process was to destroy when it was killed.
            self._empty_log()
            self._file = self._identity()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the key store {path} cannot be used ({error})") from error

    def _prepare(self) -> None:
        # Turning the write-ahead log on does not wait for another process that is doing the same.
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                for statement in SCHEMA:
                    self._connection.execute(statement)
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(BUSY_PAUSE)
            else:
                return

    def find(self, subjects: Sequence[str]) -> dict[str, Wrapped]:
        marks = ",".join("?" * len(subjects))
        sql = f"SELECT subject, master_id, wrapped FROM keys WHERE subject IN ({marks})"  # noqa: S608 - marks alone
        return self._found(sql, tuple(subjects))

    def add(self, wrapped: Mapping[str, Wrapped]) -> None:
        self._write(
            "INSERT INTO keys SELECT ?1, ?2, ?3 WHERE ?2 NOT IN (SELECT master_id FROM retired)"
            " ON CONFLICT DO NOTHING",
            [(subject, item.master_id, item.key) for subject, item in wrapped.items()],
        )

    def destroy(self, subjects: Sequence[str]) -> None:
        self._write(
            "INSERT INTO keys VALUES (?, '', x'') ON CONFLICT DO UPDATE SET master_id = '', wrapped = x''",
            [(subject,) for subject in subjects],
        )
        try:
            kept = self._empty_log()
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"the log of the key store {self._path} cannot be emptied ({error})"
            ) from error
        if kept:
            raise StoreUnavailable(
                f"the log of the key store {self._path} cannot be emptied while it is read"
            )

    def _empty_log(self) -> bool:
        """Have the write-ahead log, which holds pages as they were, hold nothing; True if it still does."""
        (kept, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return bool(kept)

    def lose(self, subjects: Sequence[str]) -> None:
        self._write(
            "INSERT INTO keys VALUES (?1, ?2, x'') ON CONFLICT DO UPDATE SET master_id = ?2, wrapped = x''",
            [(subject, LOST) for subject in subjects],
        )

    def counts(self) -> dict[str, int]:
        rows = self._rows("SELECT master_id, count(*) FROM keys WHERE wrapped <> x'' GROUP BY master_id")
        return dict(rows)

    def samples(self) -> dict[str, Wrapped]:
        return self._found(
            "SELECT min(subject), master_id, wrapped FROM keys WHERE wrapped <> x'' GROUP BY master_id"
        )

    def subjects_of(self, master_id: str) -> list[str]:
        rows = self._rows("SELECT subject FROM keys WHERE master_id = ? AND wrapped <> x''", (master_id,))
        return [subject for (subject,) in rows]

    def is_empty(self) -> bool:
        return not self._rows("SELECT 1 FROM keys LIMIT 1")

    def wrapped_otherwise(self, master_id: str, limit: int) -> dict[str, Wrapped]:
        return self._found(
            "SELECT subject, master_id, wrapped FROM keys WHERE master_id <> ? AND wrapped <> x'' LIMIT ?",
            (master_id, limit),
        )

    def rewrap(self, before: Mapping[str, Wrapped], after: Mapping[str, Wrapped]) -> None:
        self._write(
            "UPDATE keys SET master_id = ?, wrapped = ? WHERE subject = ? AND wrapped = ?",
            [(after[name].master_id, after[name].key, name, before[name].key) for name in before],
        )

    def retire(self, master_id: str) -> bool:
        self._write(
            "INSERT INTO retired SELECT ?1 WHERE ?1 NOT IN (SELECT master_id FROM keys)"
            " ON CONFLICT DO NOTHING",
            [(master_id,)],
        )
        try:
            found = self._connection.execute("SELECT 1 FROM retired WHERE master_id = ?", (master_id,))
            return found.fetchone() is not None
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the key store {self._path} cannot be read ({error})") from error

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def _identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino

    def _check_file(self) -> None:
        """Keys that are made in a file that was moved away would be lost with it."""
        try:
            same = self._identity() == self._file
        except OSError:
            same = False
        if not same:
            raise KeyStoreGone(
                f"the key store {self._path} was exchanged or removed while in use: restore it"
            )

    def _rows(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        self._check_file()
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the key store {self._path} cannot be read ({error})") from error

    def _found(self, sql: str, values: tuple[object, ...] = ()) -> dict[str, Wrapped]:
        rows = self._rows(sql, values)
        return {subject: Wrapped(master_id, key) for subject, master_id, key in rows}

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._check_file()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(sql, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the key store {self._path} cannot be written ({error})") from error
