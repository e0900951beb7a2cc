"""Whether customers' encrypted data can be decrypted; read from the stores, with or without a stack."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import psycopg

from gateway.cli.errors import CommandFailed
from infra.event_store.errors import StoreUnavailable
from infra.settings import Settings, SettingsInvalid
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import MasterKeys, MasterKeySource, master_keys_file

SECONDS = 5
KEY_PREFIX = "customer-"
SEALED = """
SELECT DISTINCT originator_id FROM stored_events
WHERE topic IN ('customers.CustomerRegistered', 'customers.EmailChanged', 'customers.AddressChanged')
AND {text} LIKE '%"personal":"sealed1.%' AND originator_id NOT IN
    (SELECT originator_id FROM stored_events WHERE topic = 'customers.CustomerForgotten')
ORDER BY 1
"""


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: `encrypted` are the customers who are not forgotten and whose data are encrypted."""

    encrypted: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Those of them whose data nobody can open with the keys there are."""
    problem: str = ""
    """What is missing; empty if nothing is."""

    @property
    def remedy(self) -> str:
        """What an operator can do about it."""
        return (
            "restore it from its backup, or give these customers' data up for good with "
            f"`orderfold keys new --lose-customers {len(self.unreadable)}`"
        )


def survey(settings: Settings) -> Survey:
    """Look; raises CommandFailed if a store cannot be read."""
    encrypted = tuple(customers_with_encrypted_data(settings.store_url("customers")))
    return asyncio.run(_survey(settings, encrypted))


async def _survey(settings: Settings, encrypted: tuple[str, ...]) -> Survey:
    try:
        masters: MasterKeys | None = MasterKeySource(settings)()
        problem = ""
    except SettingsInvalid:
        masters = None
        problem = f"the master key {master_keys_file(settings)} is missing or cannot be read"
    keys = KeyStore(settings.key_store_url, lambda: masters or _NONE, make=False)
    try:
        without, unopened = await keys.without_key(encrypted), set(await keys.not_opened())
    except StoreUnavailable as error:
        return Survey(encrypted=encrypted, unreadable=encrypted, problem=str(error) if encrypted else problem)
    finally:
        await keys.close()
    unreadable = sorted({*without, *unopened})
    if unreadable and not problem:
        problem = (
            f"the key store has no key of {len(without):,} customers"
            if without
            else "the master key that customers' keys are wrapped with is missing"
        )
    return Survey(encrypted=encrypted, unreadable=tuple(unreadable), problem=problem)


_NONE = MasterKeys({"none": bytes(32)})


def customers_with_encrypted_data(url: str) -> list[str]:
    """The ids of customers who are not forgotten and whose data are encrypted; raises CommandFailed."""
    try:
        if url.startswith("sqlite:"):
            names = _in_sqlite(Path(url.removeprefix("sqlite:")))
        else:
            names = _in_postgres(url)
    except (sqlite3.Error, psycopg.Error) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CommandFailed(f"the store of customers cannot be read: {first}") from None
    return [name.removeprefix(KEY_PREFIX) for name in names]


def _in_sqlite(file: Path) -> list[str]:
    if not file.exists():
        return []
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=SECONDS)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'stored_events'").fetchone():
            return []
        rows = connection.execute(SEALED.format(text="CAST(state AS TEXT)")).fetchall()
    finally:
        connection.close()
    return [name for (name,) in rows]


def _in_postgres(url: str) -> list[str]:
    with psycopg.connect(url, connect_timeout=SECONDS) as connection:
        if connection.execute("SELECT to_regclass('stored_events')").fetchone() == (None,):
            return []
        sql = SEALED.format(text="convert_from(state, 'UTF8')").encode()
        return [name for (name,) in connection.execute(sql).fetchall()]


def require_keys(settings: Settings) -> None:
    """Return if customers' data can be opened; raises CommandFailed, which says what to do.

    Keys that a few lack are told by readiness and `doctor`: the others' data can be read.
    """
    found = survey(settings)
    if found.problem and len(found.unreadable) == len(found.encrypted) > 0:
        raise CommandFailed(
            f"{found.problem}: the data of {len(found.unreadable):,} customers cannot be read; {found.remedy}"
        )
