"""One connection of one thread to a PostgreSQL database, in the place of the library's pool."""

from __future__ import annotations

from typing import Any

import psycopg
from eventsourcing.persistence import IntegrityError
from eventsourcing.postgres import PostgresDatastore

from infra.event_store.postgres.connection import Line
from infra.event_store.postgres.recorder import PostgresEventRecorder


class Translated:
    """The connection in a `with` statement that translates what psycopg raises."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def __enter__(self) -> psycopg.Connection[Any]:
        """Connects if need be."""
        return self._line.open()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Raises what is to be raised instead."""
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            raise self._line.unavailable(error) from error
        if isinstance(error, psycopg.IntegrityError):
            raise IntegrityError(error) from error


class SingleConnectionDatastore(PostgresDatastore):
    """Has Orderfold's time limits, and connects anew when the connection was lost."""

    def __init__(self, known: dict[str, Any], sender: str = "") -> None:
        """Connects when it is first used; `sender` signs what is committed."""
        self._line = Line(known)
        self._translated = Translated(self._line)
        super().__init__(dbname="", host="", port="", user="", password="", originator_id_type="text")
        self.recorder = PostgresEventRecorder(self, sender=sender)

    def register_type_adapters(self) -> None:
        """The library's types of its own are not used."""

    def get_connection(self) -> Translated:  # type: ignore[override] # the library's is a generator: slower
        """Raises StoreUnavailable; IntegrityError or psycopg.Error for what the database does not take."""
        return self._translated

    def check(self) -> None:
        """Its positions are compared by every write."""

    def interrupt(self) -> None:
        """Let a statement that hangs fail."""
        self._line.interrupt()

    def close(self) -> None:
        """Close the connection; the next use makes a new one."""
        self._line.close()

    def __del__(self) -> None:
        """Whoever has used it closes it."""
