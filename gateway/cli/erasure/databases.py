"""Searches what databases hold, as they tell it: their files may be packed, or lie elsewhere."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier

import contexts
from gateway.cli.erasure.encodings import Pattern
from gateway.cli.erasure.search import Found, search
from gateway.cli.erasure.search_terms import Texts
from infra.event_store.postgres.connection import Connection, Line, parameters
from infra.mongo import Mongo
from infra.settings import Settings

ROWS = 1_000
"""So many are read at once."""

TABLES = """SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"""

Tell = Callable[[int], None]


class SearchedDatabases(msgspec.Struct):
    """How many rows or documents of each database were searched, and what was found."""

    rows: dict[str, int] = msgspec.field(default_factory=dict)
    found: list[Found] = msgspec.field(default_factory=list)

    def count(self, database: str, rows: int) -> int:
        """Take in so many more; how many there were in all."""
        self.rows[database] = self.rows.get(database, 0) + rows
        return sum(self.rows.values())


async def search_mongo(mongo: Mongo, texts: Texts, searched: SearchedDatabases, tell: Tell) -> None:
    """Search every document there is; raises MongoUnavailable."""
    database = f"MongoDB {mongo.name}"
    searched.count(database, 0)
    for collection in await mongo.collections():
        left = texts.wanted
        batch: list[bytes] = []
        place = f"the collection {collection} of {database}"
        async for _, document in mongo.find_stored(collection, {}):
            batch.append(document)
            if len(batch) == ROWS:
                left = _search(place, batch, left, searched)
                tell(searched.count(database, len(batch)))
                batch = []
        _search(place, batch, left, searched)
        tell(searched.count(database, len(batch)))


def postgres_urls(settings: Settings) -> list[str]:
    """The PostgreSQL databases of the stores and of the keys; raises SettingsInvalid."""
    names = [module.name for module in pkgutil.iter_modules(contexts.__path__) if module.ispkg]
    urls = [*map(settings.store_url, names), settings.key_store_url]
    return list(dict.fromkeys(url for url in urls if not url.startswith("sqlite:")))


def search_postgres(url: str, texts: Texts, searched: SearchedDatabases, tell: Tell) -> None:
    """Search every row of every table; raises StoreUnavailable."""
    line = Line(parameters(url))
    database = f"PostgreSQL {line.place}"
    searched.count(database, 0)
    try:
        connection = line.open()
        for schema, table in connection.execute(TABLES).fetchall():
            left = texts.wanted
            for batch in _rows(connection, schema, table):
                left = _search(f"the table {schema}.{table} of {database}", batch, left, searched)
                tell(searched.count(database, len(batch)))
    except psycopg.Error as error:
        raise line.unavailable(error) from error
    finally:
        line.close()


def _rows(connection: Connection, schema: str, table: str) -> Iterator[list[bytes]]:
    with connection.transaction(), connection.cursor("erased") as cursor:
        cursor.execute(SQL("SELECT * FROM {}").format(Identifier(schema, table)))
        while rows := cursor.fetchmany(ROWS):
            yield [b"\0".join(_octets(row)) for row in rows]


def _octets(row: Iterable[object]) -> Iterator[bytes]:
    for value in row:
        yield bytes(value) if isinstance(value, bytes | bytearray | memoryview) else str(value).encode()


def _search(
    place: str, batch: list[bytes], left: tuple[Pattern, ...], searched: SearchedDatabases
) -> tuple[Pattern, ...]:
    """Search a batch for what was not yet found in this place; what is still to be found."""
    found = list(search(place, [b"\0".join(batch)], left, counted=False))
    searched.found += found
    seen = {(item.line, item.form) for item in found}
    return tuple(pattern for pattern in left if (pattern.line, pattern.form) not in seen)
