"""What the event store needs of a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from infra.event_store.errors import Outcome
from infra.messages.events import Append, Behind, Checkpoint, CommandRecord, Recorded

COUNTED_AT_MOST = 100_000
"""Up to here events behind a position are counted, per partition; beyond, the number says "at least"."""


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a log are wanted; None = all. `since` is inclusive, `until` exclusive."""

    partitions: Collection[int] | None = None
    stream: str | None = None
    names: Collection[str] | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def searches(self) -> bool:
        """Whether the database may have to look at many events to find one."""
        return self.names is not None or self.since is not None or self.until is not None


class Writer(Protocol):
    """Writes groups of appends; used by one thread."""

    def write(self, appends: Sequence[Append]) -> list[Outcome]:
        """Write in one transaction what holds, and answer each append.

        Raises StoreUnavailable when the database cannot say (any more) what became of the group; any other
        exception means that nothing was written.
        """

    def put_back(self, events: Sequence[Recorded], commands: Sequence[CommandRecord]) -> None:
        """Write events where they stood, and the commands that caused them, in one transaction.

        Raises StoreUnavailable.
        """

    def check(self) -> None:
        """Raises StoreReplaced if the database was exchanged since this was opened; from another thread."""

    def interrupt(self) -> None:
        """Let a write that hangs fail; called from another thread."""

    def close(self) -> None:
        """Give up the connection."""


class Reader(Protocol):
    """Reads; used by one thread. Every method raises StoreUnavailable when the database does not answer."""

    def streams(self, wanted: Sequence[tuple[str, int]]) -> list[list[Recorded]]:
        """The events of streams, of each those after a version."""

    def commands(self, wanted: Sequence[str]) -> list[CommandRecord | None]:
        """What is known of commands, by id."""

    def notes(self, wanted: Sequence[tuple[str, Sequence[str] | None]]) -> list[dict[str, bytes]]:
        """For each kind, the notes with the keys, or all."""

    def log(self, after: int, limit: int, wanted: LogFilter) -> list[Recorded]:
        """Events after a position, in order."""

    def head(self) -> int:
        """The last position; 0 when there is none."""

    def partition_heads(self, upto: int | None) -> list[int]:
        """Each partition's last position, not above `upto`."""

    def behind(self, positions: Sequence[int]) -> list[Behind]:
        """For each partition, what lies after its position."""

    def checkpoints(self, reader: str) -> dict[tuple[str, int], Checkpoint]:
        """A reader's checkpoints, by context and partition."""

    def interrupt(self) -> None:
        """Let a read that hangs fail; called from another thread."""

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

    def writer(self) -> Writer:
        """A connection that writes."""

    def reader(self) -> Reader:
        """A connection that reads, and does not wait for writers."""

    def leader_election(self) -> LeaderElection:
        """The other processes."""

    def close(self) -> None:
        """Let go of it; writers and readers are closed before."""
