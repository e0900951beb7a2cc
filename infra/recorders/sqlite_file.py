"""A SQLite file: who may open it, and how Orderfold connects to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path

from infra.recorders.outcomes import StoreUnavailable

BUSY_SECONDS = 5.0
"""How long a connection waits for another one's lock before it fails."""

CHECKPOINT_PAGES = 8_000
"""The write-ahead log is carried over into the file when it has 32 MB: rarely, for pages changed often."""


class FileLock:
    """Held by the process that has the store open; the kernel lets go of it when the process ends."""

    def __init__(self, path: Path) -> None:
        """Take it; raises StoreUnavailable if another process has it."""
        lock = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            reason = error.strerror
            msg = f"the store's folder {path.parent} cannot be used ({reason}): check path and permissions"
            raise StoreUnavailable(msg) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 20).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            msg = (
                f"the store {path} is in use by process {holder}: stop that process,"
                " or use PostgreSQL for several processes of one context"
            )
            raise StoreUnavailable(msg) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of it. The file stays: deleting it would let two processes lock two different files."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def connect(path: Path) -> sqlite3.Connection:
    """A connection for one thread at a time, with Orderfold's durability: a commit is on the disk.

    The library's datastore keeps one prepared statement per connection; ours keep all of them.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            "journal_size_limit = 67108864",
            "cache_size = -16384",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
