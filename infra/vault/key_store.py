"""The keys of subjects, made, found and destroyed; every question is put to the database, none is cached.

A key that was destroyed is so for every process from that moment on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from infra.group_read import GroupRead
from infra.vault.master_keys import MasterKeys
from infra.vault.postgres_table import PostgresTable
from infra.vault.sealing import new_key
from infra.vault.sqlite_table import SQLiteTable
from infra.vault.table import GONE, Table, Wrapped

REWRAPPED_AT_ONCE = 1_000

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class KeyDestroyed(Exception):
    """The subject's key was destroyed: what was sealed with it can never be read again."""


class KeyMissing(Exception):
    """There never was a key of this subject here: the key store is another one, or older than the seal."""


class KeyStore:
    """One key a subject. Every method raises StoreUnavailable when the database cannot be used."""

    def __init__(self, table: Table, masters: MasterKeys) -> None:
        """Use `open`."""
        self._table = table
        self._masters = masters
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")
        # Whoever asks while another question is under way is answered with all who do.
        self._finds = GroupRead(self._thread, self._find, table.interrupt)
        self._makes = GroupRead(self._thread, self._make, table.interrupt)

    @classmethod
    async def open(cls, url: str, masters: MasterKeys) -> KeyStore:
        """Open the store under `sqlite:FILE` or `postgresql://…`; it is made if it is missing."""
        return cls(await asyncio.to_thread(open_table, url), masters)

    async def key(self, subject: str) -> bytes:
        """A subject's key; raises KeyDestroyed, KeyMissing or MasterKeyUnknown."""
        return self._unwrapped(subject, await self._finds.ask(subject))

    async def make(self, subject: str) -> bytes:
        """A subject's key, made durably if there is none; raises KeyDestroyed or MasterKeyUnknown."""
        return self._unwrapped(subject, await self._makes.ask(subject))

    async def destroyed(self, subject: str) -> bool:
        """Whether there was a key of this subject which is no more."""
        found = await self._finds.ask(subject)
        return found is not None and found.destroyed

    async def destroy(self, subjects: Collection[str]) -> None:
        """Make what was sealed with these keys unreadable, for good."""
        await self._call(self._table.destroy, list(subjects))

    async def rewrap(self) -> int:
        """Wrap some keys with the current master key that are wrapped with another; how many there were."""
        return await self._call(self._rewrap)

    async def close(self) -> None:
        """Let go of the database."""
        await self._call(self._table.close)
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _unwrapped(self, subject: str, found: Wrapped | None) -> bytes:
        if found is None:
            raise KeyMissing(f"there is no key of {subject}")
        if found.destroyed:
            raise KeyDestroyed(f"the key of {subject} was destroyed")
        return self._masters.unwrap(found.master_id, found.key, subject)

    def _find(self, subjects: Sequence[str]) -> list[Wrapped | None]:
        found = self._table.find(list(dict.fromkeys(subjects)))
        return [found.get(subject) for subject in subjects]

    def _make(self, subjects: Sequence[str]) -> list[Wrapped | None]:
        wanted = list(dict.fromkeys(subjects))
        found = self._table.find(wanted)
        missing = [subject for subject in wanted if subject not in found]
        if missing:
            current = self._masters.current
            self._table.add(
                {subject: Wrapped(current, self._masters.wrap(new_key(), subject)) for subject in missing}
            )
            # Read again: another process may have been quicker, or have destroyed it.
            found |= self._table.find(missing)
        return [found.get(subject, GONE) for subject in subjects]

    def _rewrap(self) -> int:
        masters = self._masters
        before = self._table.wrapped_otherwise(masters.current, REWRAPPED_AT_ONCE)
        after = {
            subject: Wrapped(
                masters.current, masters.wrap(masters.unwrap(item.master_id, item.key, subject), subject)
            )
            for subject, item in before.items()
        }
        if before:
            self._table.rewrap(before, after)
        return len(before)


def open_table(url: str) -> Table:
    """The table under `sqlite:FILE` or `postgresql://…`, made if missing; raises StoreUnavailable."""
    if url.startswith("sqlite:"):
        return SQLiteTable(Path(url.removeprefix("sqlite:")))
    return PostgresTable(url)
