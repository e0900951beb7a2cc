"""`orderfold keys`: the master keys that customers' keys are wrapped with, made and exchanged."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from gateway.cli.connection import settings_of
from gateway.cli.customer_keys import require_keys, survey
from gateway.cli.errors import CommandFailed
from gateway.cli.progress import steps
from infra.event_store.store import StoreUnavailable
from infra.settings import Settings, SettingsInvalid
from infra.vault.encryption import DecryptionFailed
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import (
    MasterKeys,
    MasterKeySource,
    MasterKeyUnknown,
    master_keys_file,
    new_master_keys,
    write_master_keys,
)

KEPT_ELSEWHERE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EBUSY}
"""Why a file cannot be written that is mounted into a container, as secrets are."""


def new(data: Path | None, console: Console, lose: int | None = None) -> None:
    """Make the first master key; raises CommandFailed if there is one, or if data are encrypted already.

    `lose` is the number of customers whose data can no longer be read afterwards, which the operator names.
    """
    settings = settings_of(data)
    path = master_keys_file(settings)
    found = survey(settings)
    if lose is None and path.exists() and not found.unreadable:
        raise CommandFailed(
            f"{path} is there already; `orderfold keys rotate` exchanges the master key in it"
        )
    if len(found.unreadable) != (lose or 0):
        raise CommandFailed(
            f"{found.problem}: the data of {len(found.unreadable):,} customers cannot be read; {found.remedy}"
            if found.unreadable
            else "there are no customers whose data cannot be read: leave --lose-customers out"
        )
    made = not (path.exists() or settings.master_key)
    try:
        if made:
            write_master_keys(path, new_master_keys())
        if found.unreadable:
            asyncio.run(give_up(settings, found.unreadable))
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written ({error.strerror})") from None
    except (StoreUnavailable, SettingsInvalid) as error:
        raise CommandFailed(str(error)) from None
    if found.unreadable:
        console.print(f"the data of {len(found.unreadable):,} customers can no longer be read")
    if made:
        console.print(f"made {path}: keep it, and a copy of it, where no backup of the event stores is kept")


async def give_up(settings: Settings, customers: Sequence[str]) -> None:
    """Remember in the key store that these keys are lost, so that nobody waits for them."""
    keys = KeyStore(settings.key_store_url, MasterKeySource(settings))
    try:
        await keys.lose(customers)
    finally:
        await keys.close()


def rotate(data: Path | None, console: Console) -> None:
    """Exchange the master key; raises CommandFailed. Ended in the middle, it goes on when it is run again."""
    settings = settings_of(data)
    try:
        with exclusive(settings):
            require_keys(settings)
            asyncio.run(check_opens(settings))
            masters = begun(settings)
            wrapped = asyncio.run(exchange(settings.key_store_url, masters, console))
            left = old_ones_left(settings, masters)
    except (SettingsInvalid, StoreUnavailable, MasterKeyUnknown, DecryptionFailed) as error:
        raise CommandFailed(str(error)) from None
    except OSError as error:
        raise CommandFailed(f"the master keys cannot be written ({error.strerror})") from None
    done = (
        f"{wrapped:,} keys are wrapped with the new master key {masters.current}"
        if wrapped
        else f"there is no customer's key yet; the new master key is {masters.current}"
    )
    console.print(f"{done}; {left or 'the old one is gone'}", soft_wrap=True)


def old_ones_left(settings: Settings, masters: MasterKeys) -> str:
    """Remove the old master keys; what is left to do where they are kept elsewhere. Raises OSError."""
    old = ", ".join(masters.ids[1:])
    if settings.master_key:
        return f"remove the old one, {old}, from ORDERFOLD_MASTER_KEY"
    path = master_keys_file(settings)
    try:
        write_master_keys(path, masters.current_only())
    except OSError as error:
        if error.errno not in KEPT_ELSEWHERE:
            raise
        return f"remove the old one, {old}, where {path} comes from ({error.strerror} here)"
    return ""


async def check_opens(settings: Settings) -> None:
    """Raise MasterKeyUnknown or DecryptionFailed before anything is exchanged that could not be opened."""
    keys = KeyStore(settings.key_store_url, MasterKeySource(settings))
    try:
        await keys.check()
    finally:
        await keys.close()


@contextlib.contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
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
    path = master_keys_file(settings)
    try:
        # Both are in the file from now on, so whatever happens, each key can be unwrapped.
        write_master_keys(path, exchanged)
    except OSError as error:
        if error.errno not in KEPT_ELSEWHERE:
            raise
        raise CommandFailed(
            f"{path} holds one key and cannot be written here ({error.strerror}): where it comes from, put a "
            "new key before that one (`ID BASE64` of 32 random bytes, a line), restart customers with both, "
            "and run this again"
        ) from None
    return exchanged


async def exchange(url: str, masters: MasterKeys, console: Console) -> int:
    """Wrap every key with the current master key, and retire the others; how many are wrapped with it."""
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
        return await keys.count()
    finally:
        await keys.close()
