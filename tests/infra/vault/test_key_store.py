"""Keys of persons, on SQLite and on PostgreSQL: made once, found, destroyed for good, wrapped anew."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.event_store.errors import StoreBusy, StoreUnavailable
from infra.vault import sqlite_table
from infra.vault.encryption import DecryptionFailed, decrypt_text, encrypt_text, new_key
from infra.vault.key_store import KeyDestroyed, KeyMissing, KeyStore
from infra.vault.master_keys import MasterKeys, MasterKeyUnknown, new_master_keys


@pytest.fixture
def masters() -> MasterKeys:
    return new_master_keys()


@pytest.fixture
async def keys(store_url: str, masters: MasterKeys) -> AsyncIterator[KeyStore]:
    keys = KeyStore(store_url, lambda: masters)
    yield keys
    await keys.close()


async def test_a_person_has_one_key_whoever_makes_it(
    keys: KeyStore, store_url: str, masters: MasterKeys
) -> None:
    other = KeyStore(store_url, lambda: masters)
    made = await asyncio.gather(*(store.make("ann") for store in (keys, other) for _ in range(20)))
    assert set(made) == {await keys.key("ann")}
    assert await keys.make("bob") != made[0]
    await other.close()


async def test_processes_that_start_at_once_all_find_the_store_made(
    tmp_path: Path, masters: MasterKeys
) -> None:
    """SQLite turns its write-ahead log on for one of them and tells the others that it is busy."""
    for attempt in range(20):
        stores = [KeyStore(f"sqlite:{tmp_path / f'{attempt}.db'}", lambda: masters) for _ in range(4)]
        assert len(set(await asyncio.gather(*(store.make("ann") for store in stores)))) == 1
        await asyncio.gather(*(store.close() for store in stores))


async def test_a_destroyed_key_is_gone_for_everybody_and_never_made_again(
    keys: KeyStore, store_url: str, masters: MasterKeys
) -> None:
    await keys.make("ann")
    other = KeyStore(store_url, lambda: masters)
    await other.key("ann")
    await keys.destroy(["ann", "never-seen"])
    for store in (keys, other):
        with pytest.raises(KeyDestroyed):
            await store.key("ann")
        with pytest.raises(KeyDestroyed):
            await store.make("ann")
    with pytest.raises(KeyDestroyed):
        await keys.make("never-seen")
    assert await other.destroyed("ann")
    await other.close()


async def test_a_key_that_never_was_is_missing(keys: KeyStore) -> None:
    with pytest.raises(KeyMissing):
        await keys.key("nobody")
    assert not await keys.destroyed("nobody")


async def test_keys_are_wrapped_anew_with_a_new_master_key(
    keys: KeyStore, store_url: str, masters: MasterKeys
) -> None:
    before = {name: await keys.make(name) for name in ("ann", "bob", "eve")}
    await keys.destroy(["eve"])
    exchanged = masters.exchanged()
    newer = KeyStore(store_url, lambda: exchanged)
    assert await newer.rewrap() == 2
    assert await newer.rewrap() == 0
    await newer.close()
    without_the_old = KeyStore(store_url, exchanged.current_only)
    assert await without_the_old.key("ann") == before["ann"]
    assert await without_the_old.key("bob") == before["bob"]
    await without_the_old.close()
    with pytest.raises(MasterKeyUnknown, match=exchanged.current):
        await keys.key("ann")


async def test_a_master_key_is_retired_once_nothing_is_wrapped_with_it_and_then_wraps_nothing(
    keys: KeyStore, store_url: str, masters: MasterKeys
) -> None:
    """Or a process that has not yet heard of the new one would make keys nobody could open."""
    await keys.make("ann")
    assert not await keys.retire(masters.current)
    exchanged = masters.exchanged()
    newer = KeyStore(store_url, lambda: exchanged)
    await newer.rewrap()
    assert await newer.retire(masters.current)
    with pytest.raises(StoreBusy, match="retired"):
        await keys.make("bob")
    await newer.make("bob")
    await newer.close()


async def test_nothing_of_a_destroyed_key_is_left_in_the_files(tmp_path: Path, masters: MasterKeys) -> None:
    file = tmp_path / "keys.db"
    keys = KeyStore(f"sqlite:{file}", lambda: masters)
    await keys.make("ann")
    await keys.make("bob")
    with sqlite3.connect(file) as look:
        (wrapped,) = look.execute("SELECT wrapped FROM keys WHERE subject = 'ann'").fetchone()
    look.close()
    assert any(wrapped in content for content in contents(tmp_path))
    await keys.destroy(["ann"])
    assert not any(wrapped in content for content in contents(tmp_path))
    await keys.close()


async def test_who_reads_meanwhile_does_not_keep_a_destroyed_key_in_the_files(
    tmp_path: Path, masters: MasterKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log cannot be emptied while somebody reads from it: that is told, and done once it can be."""
    monkeypatch.setattr(sqlite_table, "BUSY_SECONDS", 0.2)
    file = tmp_path / "keys.db"
    keys = KeyStore(f"sqlite:{file}", lambda: masters)
    await keys.make("ann")
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    (wrapped,) = reader.execute("SELECT wrapped FROM keys WHERE subject = 'ann'").fetchone()
    with pytest.raises(StoreUnavailable, match="while it is read"):
        await keys.destroy(["ann"])
    with pytest.raises(KeyDestroyed):
        await keys.key("ann")
    reader.execute("COMMIT")
    reader.close()
    await keys.destroy(["ann"])
    assert not any(wrapped in content for content in contents(tmp_path))
    await keys.close()


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir()]


MAKING = """
import asyncio, sys
from infra.event_store.errors import StoreBusy, StoreUnavailable
from infra.vault import sqlite_table
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import parse

async def main():
    keys = KeyStore(sys.argv[1], lambda: parse(sys.argv[2], "here"))
    for number in range(100_000):
        key = await keys.make(f"customer-{number}")
        print(f"customer-{number}", key.hex(), flush=True)

asyncio.run(main())
"""


async def test_a_key_that_was_told_survives_sigkill(store_url: str, masters: MasterKeys) -> None:
    """Data encrypted with it may be stored already."""
    told = told_until_killed(store_url, masters)
    keys = KeyStore(store_url, lambda: masters)
    for name, key in told:
        assert (await keys.key(name)).hex() == key
    await keys.close()


def told_until_killed(store_url: str, masters: MasterKeys) -> list[list[str]]:
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKING, store_url, masters.text()], stdout=subprocess.PIPE, text=True
    )
    assert maker.stdout is not None
    told = [maker.stdout.readline().split() for _ in range(30)]
    maker.kill()
    maker.communicate()
    return told


def test_what_is_encrypted_about_one_is_not_opened_as_anothers() -> None:
    key = new_key()
    encrypted = encrypt_text(key, b"1 Quay", "ann")
    assert decrypt_text(key, encrypted, "ann") == b"1 Quay"
    for wrong_key, text, about in (
        (key, encrypted, "bob"),
        (new_key(), encrypted, "ann"),
        (key, encrypted[:-4] + "AAA=", "ann"),
        (key, "sealed1.%%%", "ann"),
        (key, "sealed1.", "ann"),
    ):
        with pytest.raises(DecryptionFailed):
            decrypt_text(wrong_key, text, about)


def test_the_same_is_never_encrypted_alike_twice() -> None:
    key = new_key()
    assert encrypt_text(key, b"1 Quay", "ann") != encrypt_text(key, b"1 Quay", "ann")
