"""What the event store needs of a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from infra.event_store.recorder import EventRecorder


class Connection(Protocol):
    """A connection to a context's database, of one thread, and the recorder that uses it."""

    @property
    def recorder(self) -> EventRecorder:
        """Runs every statement."""

    def check(self) -> None:
        """Raises StoreReplaced if the database was exchanged since this was opened; from another thread."""

    def interrupt(self) -> None:
        """Let a statement that hangs fail; called from another thread."""

    def close(self) -> None:
        """Give up the connection."""


class LeaderElection(Protocol):
    """The processes that use the same database, this one among them."""

    lost_lead: asyncio.Event

    async def lead(self) -> None:
        """Return when this process leads."""

    def hear(self, committed: Callable[[], None]) -> None:
        """Call this after the commits of other processes."""

    async def close(self) -> None:
        """Leave."""


class Database(Protocol):
    """A context's database, open."""

    shared: bool
    head_note: Path | None
    """A file beside the database that says how far it had come; None if there is no place for one."""

    def connect(self) -> Connection:
        """A connection; reads on it do not wait for writers."""

    def leader_election(self) -> LeaderElection:
        """The other processes."""

    def close(self) -> None:
        """Let go of it; connections are closed before."""
