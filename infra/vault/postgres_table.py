"""Wrapped keys in a PostgreSQL database, which several processes may use at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from infra.event_store.postgres.connection import Line, parameters
from infra.vault.table import LOST, Wrapped

SCHEMA = (
    # Of two processes that start at once the second waits, and then finds everything made.
    "SELECT pg_advisory_xact_lock(4240, 1)",
    """CREATE TABLE IF NOT EXISTS keys (
        subject text COLLATE "C" PRIMARY KEY,
        master_id text NOT NULL,
        wrapped bytea NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS keys_master ON keys (master_id)",
    "CREATE TABLE IF NOT EXISTS retired (master_id text PRIMARY KEY)",
)


class PostgresTable:
    """Keys in a PostgreSQL database. Destroyed keys stay in dead rows, wrapped, until a vacuum."""

    def __init__(self, url: str) -> None:
        self._line = Line(parameters(url))
        try:
            connection = self._line.open()
            with connection.transaction():
                for statement in SCHEMA:
                    connection.execute(statement)
        except psycopg.Error as error:
            raise self._line.unavailable(error) from error

    def find(self, subjects: Sequence[str]) -> dict[str, Wrapped]:
        return self._found(
            "SELECT subject, master_id, wrapped FROM keys WHERE subject = ANY(%s::text[])", (list(subjects),)
        )

    def add(self, wrapped: Mapping[str, Wrapped]) -> None:
        self._execute(
            "INSERT INTO keys SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[])"
            " AS new (subject, master_id, wrapped)"
            " WHERE master_id NOT IN (SELECT master_id FROM retired) ON CONFLICT DO NOTHING",
            (
                list(wrapped),
                [item.master_id for item in wrapped.values()],
                [item.key for item in wrapped.values()],
            ),
        )

    def destroy(self, subjects: Sequence[str]) -> None:
        self._execute(
            "INSERT INTO keys SELECT subject, '', '' FROM unnest(%s::text[]) AS gone (subject)"
            " ON CONFLICT (subject) DO UPDATE SET master_id = '', wrapped = ''",
            (list(subjects),),
        )
        self._execute("VACUUM keys")

    def lose(self, subjects: Sequence[str]) -> None:
        self._execute(
            "INSERT INTO keys SELECT subject, %s, '' FROM unnest(%s::text[]) AS gone (subject)"
            " ON CONFLICT (subject) DO UPDATE SET master_id = excluded.master_id, wrapped = ''",
            (LOST, list(subjects)),
        )

    def counts(self) -> dict[str, int]:
        rows = self._rows("SELECT master_id, count(*) FROM keys WHERE wrapped <> '' GROUP BY master_id")
        return dict(rows)

    def samples(self) -> dict[str, Wrapped]:
        return self._found(
            "SELECT DISTINCT ON (master_id) subject, master_id, wrapped FROM keys WHERE wrapped <> ''"
        )

    def subjects_of(self, master_id: str) -> list[str]:
        rows = self._rows("SELECT subject FROM keys WHERE master_id = %s AND wrapped <> ''", (master_id,))
        return [subject for (subject,) in rows]

    def is_empty(self) -> bool:
        return not self._rows("SELECT 1 FROM keys LIMIT 1")

    def wrapped_otherwise(self, master_id: str, limit: int) -> dict[str, Wrapped]:
        return self._found(
            "SELECT subject, master_id, wrapped FROM keys WHERE master_id <> %s AND wrapped <> '' LIMIT %s",
            (master_id, limit),
        )

    def rewrap(self, before: Mapping[str, Wrapped], after: Mapping[str, Wrapped]) -> None:
        self._execute(
            "UPDATE keys SET master_id = new.master_id, wrapped = new.wrapped"
            " FROM unnest(%s::text[], %s::bytea[], %s::text[], %s::bytea[])"
            " AS new (subject, before, master_id, wrapped)"
            " WHERE keys.subject = new.subject AND keys.wrapped = new.before",
            (
                list(before),
                [item.key for item in before.values()],
                [after[name].master_id for name in before],
                [after[name].key for name in before],
            ),
        )

    def retire(self, master_id: str) -> bool:
        try:
            connection = self._line.open()
            with connection.transaction():
                # Whoever inserts at this moment is waited for, and whoever comes later sees what is retired.
                connection.execute("LOCK TABLE keys IN SHARE ROW EXCLUSIVE MODE")
                connection.execute(
                    "INSERT INTO retired SELECT %(id)s::text"
                    " WHERE NOT EXISTS (SELECT 1 FROM keys WHERE master_id = %(id)s) ON CONFLICT DO NOTHING",
                    {"id": master_id},
                )
                found = connection.execute("SELECT 1 FROM retired WHERE master_id = %s", (master_id,))
                return found.fetchone() is not None
        except psycopg.Error as error:
            raise self._line.unavailable(error) from error

    def interrupt(self) -> None:
        self._line.interrupt()

    def close(self) -> None:
        self._line.close()

    def _rows(self, sql: str, values: tuple[object, ...] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self._line.open().execute(sql.encode(), values).fetchall()
        except psycopg.Error as error:
            raise self._line.unavailable(error) from error

    def _found(self, sql: str, values: tuple[object, ...] | None = None) -> dict[str, Wrapped]:
        rows = self._rows(sql, values)
        return {subject: Wrapped(master_id, bytes(key)) for subject, master_id, key in rows}

    def _execute(self, sql: str, values: tuple[object, ...] | None = None) -> None:
        try:
            self._line.open().execute(sql.encode(), values)
        except psycopg.Error as error:
            raise self._line.unavailable(error) from error
