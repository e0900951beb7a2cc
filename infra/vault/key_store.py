"""The keys of subjects, made, found and destroyed; every question is put to the database, none is cached.

A key that was destroyed is so for every process from that moment on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from infra.event_store.errors import StoreBusy
from infra.event_store.group_read import GroupRead
from infra.settings import Settings, SettingsInvalid
from infra.vault.encryption import DecryptionFailed, new_key
from infra.vault.master_keys import MasterKeys, MasterKeyUnknown, master_keys_file
from infra.vault.postgres_table import PostgresTable
from infra.vault.sqlite_table import SQLiteTable
from infra.vault.table import KeyStoreGone, Table, Wrapped

REWRAPPED_AT_ONCE = 1_000

T = TypeVar("T")


class KeyDestroyed(Exception):
    """The subject's key was destroyed: what was encrypted with it can never be read again."""


class KeyLost(KeyDestroyed):
    """The subject's key was lost and given up: what was encrypted with it can never be read again."""


class KeyMissing(Exception):
    """There never was a key of this subject here: the key store is another one, or an older one."""


class KeyStore:
    """One key a subject. Every method raises StoreUnavailable while the database cannot be used."""

    def __init__(self, url: str, masters: Callable[[], MasterKeys], *, make: bool = True) -> None:
        """The store under `sqlite:FILE` or `postgresql://…`; opened at the first use, then made if missing.

        Without `make` a missing file is an unavailable store; it always is once it was there.

        `masters` is asked anew each time: master keys may be exchanged while this works. It may raise
        SettingsInvalid.
        """
        self._url = url
        self._make_table = make
        self._masters = masters
        self._opened: Table | None = None
        self.exchanges = 0
        """How often another key store was found where this one had been."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")

    @cached_property
    def _finds(self) -> GroupRead[str, Wrapped | None]:
        # Whoever asks while another question is under way is answered together with all others who do.
        return GroupRead(self._thread, self._find, self._interrupt)

    @cached_property
    def _makes(self) -> GroupRead[str, Wrapped | None]:
        return GroupRead(self._thread, self._make, self._interrupt)

    async def key(self, subject: str) -> bytes:
        """A subject's key; raises KeyDestroyed, KeyMissing, MasterKeyUnknown or DecryptionFailed."""
        try:
            return self._unwrapped(subject, await self._finds.ask(subject))
        except MasterKeyUnknown:
            # Found before a rotation came to it, and looked at after its end.
            return self._unwrapped(subject, await self._finds.ask(subject))

    async def make(self, subject: str) -> bytes:
        """A subject's key, made durably if there is none; raises as `key` does, but never KeyMissing."""
        try:
            return self._unwrapped(subject, await self._makes.ask(subject))
        except MasterKeyUnknown:
            return self._unwrapped(subject, await self._makes.ask(subject))

    async def destroyed(self, subject: str) -> bool:
        """Whether there was a key of this subject which is no more."""
        found = await self._finds.ask(subject)
        return found is not None and found.destroyed

    async def lost(self, subject: str) -> bool:
        """Whether this subject's key was given up as lost."""
        found = await self._finds.ask(subject)
        return found is not None and found.lost

    async def not_destroyed(self, subjects: Sequence[str]) -> list[str]:
        """Those of the subjects that have a key, or of whom nothing is known."""
        found = await self._call(lambda: self._find(subjects))
        return [
            subject
            for subject, item in zip(subjects, found, strict=True)
            if item is None or not item.destroyed
        ]

    async def destroy(self, subjects: Collection[str]) -> None:
        """Make what was encrypted with these keys unreadable, for good."""
        wanted = list(subjects)
        await self._call(lambda: self._table().destroy(wanted))

    async def is_empty(self) -> bool:
        """Whether there never was a key here. A missing file is not made by asking."""
        return await self._call(lambda: self._missing() or self._table().is_empty())

    async def count(self) -> int:
        """How many keys there are that were not destroyed."""
        return await self._call(lambda: sum(self._table().counts().values()))

    async def check(self) -> None:
        """Raises MasterKeyUnknown or DecryptionFailed if the master keys at hand do not open some keys."""
        await self._call(self._check)

    async def without_key(self, subjects: Sequence[str]) -> list[str]:
        """Those of the subjects of whom there never was a key here."""
        found = await self._call(lambda: self._find(subjects)) if subjects else []
        return [subject for subject, item in zip(subjects, found, strict=True) if item is None]

    async def not_opened(self) -> list[str]:
        """The subjects whose keys cannot be opened with the master keys at hand."""
        return await self._call(self._not_opened)

    async def lose(self, subjects: Collection[str]) -> None:
        """Give up the keys of these subjects, for good: they are missing, or nobody can open them."""
        wanted = list(subjects)
        await self._call(lambda: self._table().lose(wanted))

    async def rewrap(self) -> int:
        """Wrap some keys with the current master key that are wrapped with another; how many there were."""
        return await self._call(self._rewrap)

    async def retire(self, master_id: str) -> bool:
        """Let nothing be wrapped with a master key any more; False while something is."""
        return await self._call(lambda: self._table().retire(master_id))

    async def close(self) -> None:
        """Let go of the database."""
        await self._call(self._close)
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._done, function)

    def _done(self, function: Callable[[], T]) -> T:
        try:
            return function()
        except KeyStoreGone:
            # What is there now is opened the next time, if it is there.
            self._close()
            self.exchanges += 1
            raise

    def _unwrapped(self, subject: str, found: Wrapped | None) -> bytes:
        if found is None:
            raise KeyMissing(f"there is no key of {subject}")
        if found.lost:
            raise KeyLost(f"the key of {subject} was lost")
        if found.destroyed:
            raise KeyDestroyed(f"the key of {subject} was destroyed")
        return self._masters().unwrap(found.master_id, found.key, subject)

    # What follows runs on the thread.

    def _table(self) -> Table:
        if self._opened is None:
            self._opened = open_table(self._url, make=self._make_table)
            self._make_table = False
        return self._opened

    def _missing(self) -> bool:
        return self._url.startswith("sqlite:") and not Path(self._url.removeprefix("sqlite:")).exists()

    def _check(self) -> None:
        for subject, item in self._table().samples().items():
            self._masters().unwrap(item.master_id, item.key, subject)

    def _not_opened(self) -> list[str]:
        found: list[str] = []
        for subject, item in self._table().samples().items():
            try:
                self._masters().unwrap(item.master_id, item.key, subject)
            except (MasterKeyUnknown, DecryptionFailed):
                found += self._table().subjects_of(item.master_id)
        return found

    def _interrupt(self) -> None:
        if self._opened is not None:
            self._opened.interrupt()

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _find(self, subjects: Sequence[str]) -> list[Wrapped | None]:
        return self._done(lambda: self._found(subjects))

    def _found(self, subjects: Sequence[str]) -> list[Wrapped | None]:
        found = self._table().find(list(dict.fromkeys(subjects)))
        return [found.get(subject) for subject in subjects]

    def _make(self, subjects: Sequence[str]) -> list[Wrapped | None]:
        return self._done(lambda: self._made(subjects))

    def _made(self, subjects: Sequence[str]) -> list[Wrapped | None]:
        table, masters = self._table(), self._masters()
        wanted = list(dict.fromkeys(subjects))
        found = table.find(wanted)
        missing = [subject for subject in wanted if subject not in found]
        if missing:
            fresh = {subject: masters.wrap(new_key(), subject) for subject in missing}
            table.add({subject: Wrapped(masters.current, key) for subject, key in fresh.items()})
            # Read again: another process may have been quicker, or have destroyed it.
            found |= table.find(missing)
            if len(found) < len(wanted):
                raise StoreBusy(f"the master key {masters.current} was retired at this moment: try again")
        return [found[subject] for subject in subjects]

    def _rewrap(self) -> int:
        table, masters = self._table(), self._masters()
        before = table.wrapped_otherwise(masters.current, REWRAPPED_AT_ONCE)
        after = {
            subject: Wrapped(
                masters.current, masters.wrap(masters.unwrap(item.master_id, item.key, subject), subject)
            )
            for subject, item in before.items()
        }
        if before:
            table.rewrap(before, after)
        return len(before)


def refuse_if_wrapped(settings: Settings) -> None:
    """Raise SettingsInvalid if the key store holds keys: a new master key opens none of them.

    Raises StoreUnavailable if it cannot be read.
    """
    url = settings.key_store_url
    if url.startswith("sqlite:") and not Path(url.removeprefix("sqlite:")).exists():
        return
    table = open_table(url, make=False)
    try:
        wrapped = sum(table.counts().values())
    finally:
        table.close()
    if wrapped:
        raise SettingsInvalid(
            f"the master key {master_keys_file(settings)} is missing, and without it the data of {wrapped:,} "
            f"customers cannot be read; restore it from its backup, or give their data up for good with "
            f"`orderfold keys new --lose-customers {wrapped}`"
        )


def open_table(url: str, *, make: bool = True) -> Table:
    """The table under `sqlite:FILE` or `postgresql://…`, made if missing; raises StoreUnavailable.

    A missing file is made only if `make` says so.
    """
    if url.startswith("sqlite:"):
        return SQLiteTable(Path(url.removeprefix("sqlite:")), make=make)
    return PostgresTable(url)
