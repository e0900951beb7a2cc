"""`orderfold keys rotate`: every key is wrapped anew while customers go on, and none is ever lost."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.console import Console

from gateway.cli.errors import CommandFailed
from gateway.cli.keys import new, rotate
from infra.settings import Settings
from infra.vault import key_store
from infra.vault.key_store import KeyDestroyed, KeyStore
from infra.vault.master_keys import MasterKeySource, master_keys_file, new_master_keys, write_master_keys

ROTATING = """
import sys
from pathlib import Path
from rich.console import Console
from gateway.cli.keys import rotate
rotate(Path(sys.argv[1]), Console())
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a data folder with a master key."""
    new(tmp_path, quiet())
    return Settings(data=tmp_path)


@pytest.fixture
async def keys(settings: Settings) -> AsyncIterator[KeyStore]:
    """As customers has it: the file is read again when it has changed."""
    keys = KeyStore(settings.key_store_url, MasterKeySource(settings))
    yield keys
    await keys.close()


def quiet() -> Console:
    return Console(file=io.StringIO())


def masters(settings: Settings) -> tuple[str, ...]:
    return MasterKeySource(settings)().ids


async def test_keys_are_the_same_after_it_and_the_old_master_key_is_gone(
    settings: Settings, keys: KeyStore
) -> None:
    before = {name: await keys.make(name) for name in ("ann", "bob", "eve")}
    await keys.destroy(["eve"])
    (old,) = masters(settings)
    await asyncio.to_thread(rotate, settings.data, quiet())
    (current,) = masters(settings)
    assert current != old
    assert (await keys.key("ann"), await keys.key("bob")) == (before["ann"], before["bob"])
    with pytest.raises(KeyDestroyed):
        await keys.key("eve")
    assert master_keys_file(settings).stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(settings.key_store_url.removeprefix("sqlite:")) as look:
        assert look.execute("SELECT DISTINCT master_id FROM keys ORDER BY 1").fetchall() == [
            ("",),
            (current,),
        ]
    look.close()


async def test_keys_that_are_made_and_used_meanwhile_never_fail(settings: Settings, keys: KeyStore) -> None:
    made: dict[str, bytes] = {}
    rotating = asyncio.create_task(asyncio.to_thread(rotate, settings.data, quiet()))
    while not rotating.done() or len(made) < 200:
        name = f"customer-{len(made)}"
        made[name] = await keys.make(name)
        assert await keys.key(name) == made[name]
    await rotating
    assert len(masters(settings)) == 1
    for name, key in made.items():
        assert await keys.key(name) == key


async def test_killed_as_it_begins_or_in_the_middle_it_goes_on_when_it_is_run_again(
    settings: Settings, keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {f"customer-{number}": await keys.make(f"customer-{number}") for number in range(50)}

    async def all_are_readable() -> bool:
        return {name: await keys.key(name) for name in before} == before

    await asyncio.to_thread(kill_once_begun, settings)
    assert len(masters(settings)) == 2
    assert await all_are_readable()
    monkeypatch.setattr(key_store, "REWRAPPED_AT_ONCE", 10)
    assert await keys.rewrap() == 10
    assert await all_are_readable()
    await asyncio.to_thread(rotate, settings.data, quiet())
    assert len(masters(settings)) == 1
    assert await all_are_readable()


def kill_once_begun(settings: Settings) -> None:
    """Rotate until the new master key is in the file; it cannot get further, for the key store is taken."""
    taken = sqlite3.connect(settings.key_store_url.removeprefix("sqlite:"), isolation_level=None)
    taken.execute("BEGIN IMMEDIATE")
    rotation = subprocess.Popen([sys.executable, "-c", ROTATING, str(settings.data)])
    while len(masters(settings)) < 2:
        assert rotation.poll() is None
        time.sleep(0.001)
    rotation.kill()
    rotation.wait()
    taken.close()


async def test_two_at_once_would_lose_a_key_so_the_second_is_refused(
    settings: Settings, keys: KeyStore
) -> None:
    key = await keys.make("ann")
    first = os.open(master_keys_file(settings).parent, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    with pytest.raises(CommandFailed, match=r"another .* is at work"):
        rotate(settings.data, quiet())
    os.close(first)
    assert await keys.key("ann") == key
    await asyncio.to_thread(rotate, settings.data, quiet())
    assert await keys.key("ann") == key


async def test_a_spoilt_key_is_named_and_no_master_key_is_given_up(
    settings: Settings, keys: KeyStore
) -> None:
    await keys.make("ann")
    with sqlite3.connect(settings.key_store_url.removeprefix("sqlite:")) as spoil:
        spoil.execute("UPDATE keys SET wrapped = x'00'")
    spoil.close()
    with pytest.raises(CommandFailed, match="the key of ann in the key store was changed"):
        await asyncio.to_thread(rotate, settings.data, quiet())
    assert len(masters(settings)) == 1


async def test_another_master_key_under_the_same_id_is_told(settings: Settings, keys: KeyStore) -> None:
    await keys.make("ann")
    (name,) = masters(settings)
    other = new_master_keys().text().split()[1]
    path = master_keys_file(settings)
    path.write_text(f"{name} {other}\n")
    with pytest.raises(CommandFailed, match=f"another master key of the id '{name}'"):
        await asyncio.to_thread(rotate, settings.data, quiet())


def test_a_draft_that_lies_there_already_gives_nobody_the_keys(tmp_path: Path) -> None:
    """It could have been made to be read."""
    planted = tmp_path / "master-keys.draft"
    planted.touch(mode=0o666)
    write_master_keys(tmp_path / "master-keys", new_master_keys())
    assert planted.read_bytes() == b""
    assert (tmp_path / "master-keys").stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["master-keys", "master-keys.draft"]
