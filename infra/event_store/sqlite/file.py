"""A SQLite file: who may open it, and how Orderfold connects to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from infra.event_store.errors import StoreReplaced, StoreUnavailable

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


class OpenedFile:
    """A store's file as this process has left it: one that is exchanged or overwritten is noticed.

    SQLite itself goes on with a file that was moved away, and what it commits there is lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._using = threading.Lock()
        self._seen = self._look()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Change the file; raises StoreReplaced if it is not as it was left."""
        with self._using:
            self._check()
            file, log = self._seen
            try:
                yield
            finally:
                self._seen = self._look()
                if self._seen[0] is None or file is None or self._seen[0][:2] != file[:2]:
                    # What was written went to a file that is not there any more.
                    self._seen = file, log
                    self._check()

    def check(self) -> None:
        """Raises StoreReplaced if the file is not as it was left."""
        with self._using:
            self._check()

    def _check(self) -> None:
        now = self._look()
        # The write-ahead log is made by the first commit.
        if now[0] != self._seen[0] or self._seen[1] not in {None, now[1]}:
            raise StoreReplaced(f"the store {self._path} was exchanged or removed")

    def _look(self) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
        """The file, which only a commit of this process changes, and which log belongs to it."""
        try:
            file = self._path.stat()
        except OSError:
            return None, None
        try:
            log = self._log.stat()
        except OSError:
            return (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns), None
        return (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns), (log.st_dev, log.st_ino)


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
