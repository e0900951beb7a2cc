"""How Orderfold connects to PostgreSQL: time limits everywhere, plans by index, lost connections renewed."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict

from infra.event_store.errors import StoreUnavailable, StoreUnreachable
from infra.security.tls_errors import advice

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 5

OPTIONS = {
    "synchronous_commit": "on",
    "statement_timeout": "20s",
    "lock_timeout": "10s",
    # A process that is stopped in the middle of a transaction must not hold up the others for ever.
    "idle_in_transaction_session_timeout": "15s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    # Every statement here looks something up by an index, and knows better than fresh statistics.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}


def parameters(url: str) -> dict[str, Any]:
    """What to connect with; raises StoreUnavailable for a URL that is none."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        msg = f"the store's address is not understood ({str(error).strip()}): use postgresql://USER@HOST/DATABASE"
        raise StoreUnavailable(msg) from error
    options = " ".join(f"-c {name}={value}" for name, value in OPTIONS.items())
    return {
        "application_name": "orderfold",
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        **given,
        "options": f"{options} {given.get('options') or ''}",
    }


def place(known: Mapping[str, Any]) -> str:
    """Where a store is, without its password."""
    return f"{known.get('host', 'localhost')}:{known.get('port', 5432)}/{known.get('dbname', '')}"


class Line:
    """A connection of one thread; made when it is needed, and anew when it was lost."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known
        self._connection: Connection | None = None

    @property
    def place(self) -> str:
        """Where it leads."""
        return place(self._known)

    def open(self) -> Connection:
        """The connection; raises StoreUnreachable."""
        connection = self._connection
        if connection is None or connection.closed:
            try:
                connection = psycopg.connect(**self._known, autocommit=True)
            except psycopg.Error as error:
                said = _line(error)
                fix = advice(said) or "is PostgreSQL running there?"
                msg = f"the store {self.place} cannot be reached ({said}): {fix}"
                raise StoreUnreachable(msg) from error
            connection.prepare_threshold = 0
            self._connection = connection
        return connection

    @property
    def lost(self) -> bool:
        """Whether the connection broke."""
        return self._connection is not None and self._connection.closed

    def unavailable(self, error: psycopg.Error) -> StoreUnavailable:
        """What to raise for an error of the connection or the server."""
        return StoreUnavailable(f"the store {self.place} does not answer ({_line(error)}): try again")

    def interrupt(self) -> None:
        """Cut the connection under whoever waits for it; called from another thread."""
        connection = self._connection
        if connection is None or connection.closed:
            return
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(connection.fileno())) as wire,
        ):
            wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; `open` makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _line(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
