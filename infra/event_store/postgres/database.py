"""A context's events in a PostgreSQL database, which several processes may use at once."""

from __future__ import annotations

from pathlib import Path

import psycopg
from eventsourcing.persistence import PersistenceError

from infra.event_store.errors import StoreUnavailable
from infra.event_store.postgres.connection import parameters, place
from infra.event_store.postgres.datastore import SingleConnectionDatastore
from infra.event_store.postgres.leadership import PostgresLeaderElection


class PostgresDatabase:
    """One database per context."""

    shared = True
    head_note: Path | None = None

    def __init__(self, context: str, url: str) -> None:
        """Connect and make what is missing; raises StoreUnavailable."""
        self._known = parameters(url)
        datastore = SingleConnectionDatastore(self._known)
        try:
            owner = datastore.recorder.claim(context)
        except (psycopg.Error, PersistenceError) as error:
            where = place(self._known)
            msg = f"the store {where} cannot be prepared ({error}): may its user create tables?"
            raise StoreUnavailable(msg) from error
        finally:
            datastore.close()
        if owner != context:
            belongs = f"belongs to {owner}, not to {context}"
            msg = f"the store {place(self._known)} {belongs}: give each context its own"
            raise StoreUnavailable(msg)
        self._election = PostgresLeaderElection(self._known)

    def connect(self) -> SingleConnectionDatastore:
        """A connection; it signs its commits."""
        return SingleConnectionDatastore(self._known, self._election.name)

    def leader_election(self) -> PostgresLeaderElection:
        """The other processes that use this database."""
        return self._election

    def close(self) -> None:
        """Nothing is left to let go of."""
