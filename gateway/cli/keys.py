"""`orderfold keys`: the master keys that customers' keys are wrapped with, made and exchanged."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from gateway.cli.failure import CommandFailed
from gateway.cli.progress import steps
from gateway.cli.surroundings import settings_of
from infra.event_store import StoreUnavailable
from infra.settings import Settings, SettingsInvalid
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import (
    MasterKeys,
    MasterKeySource,
    MasterKeyUnknown,
    master_keys_file,
    new_master_keys,
    write_master_keys,
)
from infra.vault.sealing import SealBroken


def new(data: Path | None, console: Console) -> None:
    """Make the first master key; raises CommandFailed if there is one."""
    path = master_keys_file(settings_of(data))
    if path.exists():
        raise CommandFailed(
            f"{path} is there already; `orderfold keys rotate` exchanges the master key in it"
        )
    try:
        write_master_keys(path, new_master_keys())
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written ({error.strerror})") from None
    console.print(f"made {path}: keep it, and a copy of it, where no backup of the event stores is kept")


def rotate(data: Path | None, console: Console) -> None:
    """Exchange the master key; raises CommandFailed. Ended in the middle, it goes on when it is run again."""
    settings = settings_of(data)
    try:
        with alone(settings):
            masters = begun(settings)
            wrapped = asyncio.run(exchange(settings.key_store_url, masters, console))
            if settings.master_key:
                console.print(f"wrapped {wrapped:,} keys; remove all but the first from ORDERFOLD_MASTER_KEY")
                return
            write_master_keys(master_keys_file(settings), masters.alone())
    except (SettingsInvalid, StoreUnavailable, MasterKeyUnknown, SealBroken) as error:
        raise CommandFailed(str(error)) from None
    except OSError as error:
        raise CommandFailed(f"the master keys cannot be written ({error.strerror})") from None
    console.print(f"wrapped {wrapped:,} keys with the new master key {masters.current}; the old one is gone")


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Keep other rotations out: of two new keys one would be lost, and all that was wrapped with it.

    Raises CommandFailed.
    """
    if settings.master_key:
        # Nothing is written: two do the same.
        yield
        return
    folder = os.open(master_keys_file(settings).parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandFailed("another `orderfold keys rotate` is at work; wait until it is done") from None
    else:
        yield
    finally:
        os.close(folder)


def begun(settings: Settings) -> MasterKeys:
    """The master keys of a rotation under way: the new one, and the one it takes the place of."""
    masters = MasterKeySource(settings)()
    if len(masters.ids) > 1:
        return masters
    if settings.master_key:
        raise CommandFailed(
            "ORDERFOLD_MASTER_KEY holds one key: put a new one before it (`ID BASE64,` of 32 random bytes), "
            "restart customers with both, and run this again"
        )
    exchanged = masters.exchanged()
    # Both are in the file from now on, so whatever happens, each key can be unwrapped.
    write_master_keys(master_keys_file(settings), exchanged)
    return exchanged


async def exchange(url: str, masters: MasterKeys, console: Console) -> int:
    """Wrap every key with the current master key, and retire the others; how many were wrapped."""
    keys = KeyStore(url, lambda: masters)
    done = 0
    try:
        with steps(console, "keys") as shown:
            for old in masters.ids[1:]:
                # A process that knows only the old one may make keys until it is retired.
                while not await keys.retire(old):
                    while wrapped := await keys.rewrap():
                        done += wrapped
                        shown.at(done)
    finally:
        await keys.close()
    return done
