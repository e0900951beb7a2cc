"""A SQLite store that cannot be used says so in one line, with what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from infra.event_store.store import EventStore, StoreUnavailable
from tests.infra.event_store.messages import append, part


async def refusal(url: str, context: str = "ordering") -> str:
    """Why the store does not open."""
    with pytest.raises(StoreUnavailable) as unavailable:
        await EventStore.open(context, url)
    message = str(unavailable.value)
    assert "\n" not in message
    return message


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:"))


async def test_a_second_opener_is_refused_until_the_first_has_closed(sqlite_store: str) -> None:
    store = await EventStore.open("ordering", sqlite_store)
    assert not store.shared
    assert "in use by process" in await refusal(sqlite_store)
    await store.append(append(part("order-1", 0, "OrderPlaced")))
    await store.close()
    again = await EventStore.open("ordering", sqlite_store)
    assert await again.head() == 1
    await again.close()


async def test_the_folder_is_made_when_it_is_missing(tmp_path: Path) -> None:
    store = await EventStore.open("ordering", f"sqlite:{tmp_path / 'deep' / 'down' / 'ordering.db'}")
    await store.lead()
    await store.close()


async def test_a_file_that_is_no_database(sqlite_store: str) -> None:
    path_of(sqlite_store).write_bytes(b"This is a text, and no store at all.\n" * 100)
    assert "not a database" in await refusal(sqlite_store)


async def test_a_header_that_is_cut_off(sqlite_store: str) -> None:
    store = await EventStore.open("ordering", sqlite_store)
    await store.close()
    path_of(sqlite_store).write_bytes(path_of(sqlite_store).read_bytes()[:60])
    assert "cannot be used" in await refusal(sqlite_store)


async def test_a_file_that_is_cut_off(sqlite_store: str) -> None:
    store = await EventStore.open("ordering", sqlite_store)
    await store.append(append(part("order-1", 0, *["OrderPlaced"] * 500, data=b"x" * 400)))
    await store.close()
    whole = path_of(sqlite_store).read_bytes()
    path_of(sqlite_store).write_bytes(whole[: len(whole) // 2])
    assert "restore it from a backup" in await refusal(sqlite_store)
    # The refusal has let go of the lock.
    path_of(sqlite_store).write_bytes(whole)
    await (await EventStore.open("ordering", sqlite_store)).close()


async def test_a_page_that_is_damaged_is_an_unavailable_store_not_a_wrong_answer(sqlite_store: str) -> None:
    store = await EventStore.open("ordering", sqlite_store)
    await store.append(append(part("order-1", 0, *["OrderPlaced"] * 500, data=b"x" * 400)))
    await store.close()
    content = bytearray(path_of(sqlite_store).read_bytes())
    content[4096 * 8 :] = b"\xff" * (len(content) - 4096 * 8)
    path_of(sqlite_store).write_bytes(content)
    store = await EventStore.open("ordering", sqlite_store)
    with pytest.raises(StoreUnavailable):
        await store.read_log(0, 1_000)
    await store.close()


async def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "check path and permissions" in await refusal(f"sqlite:{tmp_path / 'file' / 'ordering.db'}")
    (tmp_path / "folder.db").mkdir()
    assert "cannot be used" in await refusal(f"sqlite:{tmp_path / 'folder.db'}")


async def test_another_contexts_store(store_url: str) -> None:
    await (await EventStore.open("ordering", store_url)).close()
    assert "belongs to ordering, not to payments" in await refusal(store_url, "payments")


async def test_an_address_of_no_known_kind() -> None:
    assert "names no store" in await refusal("mysql://somewhere/else")
    assert "names no store" in await refusal("sqlite:")


async def test_commits_reach_the_disk_before_they_are_answered(sqlite_store: str) -> None:
    store = await EventStore.open("ordering", sqlite_store)
    connection: sqlite3.Connection = store._commits._connection._connection  # type: ignore[attr-defined]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    await store.close()
