"""A store that is exchanged while it is open accepts nothing more: what it committed would be lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from infra.event_store.sqlite.file import CHECKPOINT_PAGES
from infra.event_store.store import EventStore, StoreReplaced
from tests.infra.event_store.messages import append, part

Exchange = Callable[[Path, Path], None]


def moved(file: Path, older: Path) -> None:
    """Another file in its place, as `mv` and most tools do."""
    older.replace(file)


def moved_with_its_log_removed(file: Path, older: Path) -> None:
    older.replace(file)
    for name in ("-wal", "-shm"):
        file.with_name(file.name + name).unlink(missing_ok=True)


def overwritten(file: Path, older: Path) -> None:
    """Other contents in the same file, as `cp` does."""
    file.write_bytes(older.read_bytes())


def removed(file: Path, older: Path) -> None:
    file.unlink()


def log_removed(file: Path, older: Path) -> None:
    file.with_name(file.name + "-wal").unlink()


EXCHANGES = [moved, moved_with_its_log_removed, overwritten, removed, log_removed]


@pytest.fixture
async def store(sqlite_store: str, tmp_path: Path) -> AsyncIterator[EventStore]:
    """A store with an event, of which there is an older copy."""
    opened = await EventStore.open("ordering", sqlite_store)
    await opened.append(append(part("order-1", 0, "OrderPlaced")))
    with contextlib.closing(sqlite3.connect(path_of(sqlite_store))) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "older.db"),))
    await opened.append(append(part("order-2", 0, "OrderPlaced")))
    yield opened
    await opened.close()


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:"))


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_the_first_append_after_it_is_refused(
    store: EventStore, sqlite_store: str, tmp_path: Path, exchange: Exchange
) -> None:
    exchange(path_of(sqlite_store), tmp_path / "older.db")
    for _ in range(3):
        with pytest.raises(StoreReplaced, match=r"while it was in use: .*`orderfold restore check`"):
            await store.append(append(part("order-3", 0, "OrderPlaced")))


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_it_is_noticed_while_nothing_is_written(
    store: EventStore, sqlite_store: str, tmp_path: Path, exchange: Exchange
) -> None:
    await store.check()
    exchange(path_of(sqlite_store), tmp_path / "older.db")
    with pytest.raises(StoreReplaced):
        await store.check()


async def test_a_backup_taken_meanwhile_disturbs_nothing(
    store: EventStore, sqlite_store: str, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(path_of(sqlite_store))) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    shutil.copy2(path_of(sqlite_store), tmp_path / "copy.db")
    os.utime(path_of(sqlite_store), ns=(0, path_of(sqlite_store).stat().st_mtime_ns))
    await store.append(append(part("order-3", 0, "OrderPlaced")))
    await store.check()


async def test_its_own_write_ahead_log_may_be_carried_over_into_the_file(sqlite_store: str) -> None:
    store = await EventStore.open("ordering", sqlite_store)
    pages = path_of(sqlite_store).stat().st_size
    for number in range(3):
        large = b"x" * 4_096 * CHECKPOINT_PAGES
        await store.append(append(part(f"order-{number}", 0, "OrderPlaced", data=large)))
        await store.check()
    assert path_of(sqlite_store).stat().st_size > pages
    await store.close()
