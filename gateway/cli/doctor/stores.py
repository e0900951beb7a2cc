"""The contexts' event stores: reachable, and set up so that a commit is on the disk."""

from __future__ import annotations

import asyncio
import pkgutil
import sqlite3
from pathlib import Path

import psycopg

import contexts
from gateway.cli.customer_keys import survey
from gateway.cli.doctor.finding import Checked
from gateway.cli.errors import CommandFailed
from infra.settings import Settings

SECONDS = 5


async def check_stores(settings: Settings) -> list[Checked]:
    """Look at every context's store."""
    names = [module.name for module in pkgutil.iter_modules(contexts.__path__) if module.ispkg]
    return list(
        await asyncio.gather(
            *(asyncio.to_thread(check_store, name, settings.store_url(name)) for name in names)
        )
    )


def check_customer_keys(settings: Settings) -> Checked:
    """Whether the data of every customer can be opened."""
    what = "customers' keys"
    try:
        found = survey(settings)
    except CommandFailed as error:
        return Checked(what, str(error), "see what is said of the store of customers")
    if not found.problem:
        return Checked(what, f"the data of {len(found.encrypted):,} customers can be opened")
    if not found.unreadable:
        return Checked(what, found.problem, "`orderfold up` or `orderfold keys new` makes the first")
    seen = f"{found.problem}: the data of {len(found.unreadable):,} customers cannot be read"
    return Checked(what, seen, found.remedy)


def check_store(context: str, url: str) -> Checked:
    """Look at one store, read-only."""
    if url.startswith("sqlite:"):
        return check_sqlite(f"store of {context}", Path(url.removeprefix("sqlite:")))
    return check_postgres(f"store of {context}", url)


def check_sqlite(what: str, file: Path) -> Checked:
    """A SQLite file: there, whole as far as can be told at a glance, and with a write-ahead log."""
    if not file.exists():
        return Checked(what, f"{file} is not there", "start the contexts once: `orderfold up`")
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=SECONDS)
        try:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Checked(what, f"{file}: {error}", "restore the file from a backup")
    if not tables:
        return Checked(what, f"{file} is empty", "start the contexts once: `orderfold up`")
    fix = "" if mode == "wal" else "stop what else has the file open, and start the contexts: they set WAL"
    return Checked(what, f"SQLite, {file.stat().st_size / 1e6:,.1f} MB, journal mode {mode}", fix)


def check_postgres(what: str, url: str) -> Checked:
    """A PostgreSQL database: reachable, and durable."""
    try:
        with psycopg.connect(url, connect_timeout=SECONDS) as connection:
            shown = {
                name: (connection.execute(f"SHOW {name}").fetchone() or ("",))[0]
                for name in ("server_version", "fsync", "synchronous_commit")
            }
    except psycopg.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return Checked(what, lines[0], "start PostgreSQL, or set ORDERFOLD_STORE")
    seen = ", ".join(f"{name} {value}" for name, value in shown.items())
    if shown["fsync"] != "on":
        return Checked(what, seen, "set fsync = on: without it a power failure loses answered commands")
    if shown["synchronous_commit"] == "off":
        return Checked(what, seen, "set synchronous_commit = on: a crash would lose answered commands")
    return Checked(what, seen)
