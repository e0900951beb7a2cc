"""A context's event store: the truth about everything it decided, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

import structlog

from infra.event_store.backend import Connection, Database
from infra.event_store.errors import (
    CommandRepeated,
    CommandReused,
    Conflict,
    StoreBusy,
    StoreReplaced,
    StoreUnavailable,
    StoreUnreachable,
)
from infra.event_store.group_commit import CommitSizes, GroupCommit
from infra.event_store.group_read import SECONDS_AT_MOST, GroupRead
from infra.event_store.postgres.database import PostgresDatabase
from infra.event_store.recorder import LogFilter
from infra.event_store.sqlite.database import SQLiteDatabase
from infra.messages.events import (
    PARTITIONS,
    Append,
    Appended,
    Behind,
    Checkpoint,
    CheckpointMoved,
    CommandRecord,
    Recorded,
)
from infra.observability import tracing
from infra.observability.metrics.instruments import StoreMeasures

__all__ = [
    "CheckpointMoved",
    "CommandRepeated",
    "CommandReused",
    "Conflict",
    "EventStore",
    "StoreBusy",
    "StoreReplaced",
    "StoreUnavailable",
    "StoreUnreachable",
]

T = TypeVar("T")

CLOSE_SECONDS = 3.0
"""A store that is to be closed and gets on with nothing for so long is cut off from its database."""

log = structlog.get_logger(__name__)


class Lane:
    """A connection that reads and the thread it belongs to."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.recorder = connection.recorder
        self.executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, read: Callable[..., T], *arguments: object) -> T:
        """Read on the lane's thread; raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            reading = loop.run_in_executor(self.executor, read, *arguments)
        except RuntimeError as error:
            raise StoreUnavailable("the store is closed") from error
        overdue = loop.call_later(SECONDS_AT_MOST, self.connection.interrupt)
        try:
            return await reading
        finally:
            overdue.cancel()

    def finish(self) -> None:
        """Return when what was under way is done; then the connection can be closed."""
        self.executor.shutdown(wait=True)


class EventStore:
    """Appends events atomically, loads streams, reads the log; every method raises StoreUnavailable.

    Reads never wait for writes. Loads, the tail of the log and searches in it have a thread each, so that a
    search over a long log delays neither commands nor the relay.
    """

    def __init__(self, context: str, database: Database) -> None:
        """For `open`."""
        self.context = context
        self.shared = database.shared
        self._database = database
        self._written = 0
        self._head_note = database.head_note
        self._noted: int | None = None
        self._listeners: list[Callable[[], None]] = []
        self._loads = Lane(database.connect(), f"{context}-load")
        self._tail = Lane(database.connect(), f"{context}-log")
        self._search = Lane(database.connect(), f"{context}-search")
        self._lanes = (self._loads, self._tail, self._search)
        self._commits = GroupCommit(database.connect(), context, self._committed)
        self._election = database.leader_election()
        self._election.hear(self._committed)
        loads, seconds = self._loads, StoreMeasures(context).read_seconds
        recorder, interrupt = loads.recorder, loads.connection.interrupt
        self._streams = GroupRead(loads.executor, recorder.select_streams, interrupt, seconds)
        self._commands = GroupRead(loads.executor, recorder.commands, interrupt, seconds)
        self._notes = GroupRead(loads.executor, recorder.notes, interrupt, seconds)

    @classmethod
    async def open(cls, context: str, url: str) -> Self:
        """Open or create a context's store at `sqlite:/path/file.db` or `postgresql://…`.

        Raises StoreUnreachable while its server cannot be connected to.
        """
        scheme, _, rest = url.partition(":")
        if scheme == "sqlite" and rest:
            database: Database = await asyncio.to_thread(SQLiteDatabase, context, Path(rest))
        elif scheme in {"postgresql", "postgres"}:
            database = await asyncio.to_thread(PostgresDatabase, context, url)
        else:
            raise StoreUnavailable(f"{url!r} names no store: use sqlite:FILE or postgresql://…")
        try:
            return cls(context, database)
        except BaseException:
            database.close()
            raise

    @property
    def commit_sizes(self) -> CommitSizes:
        """How much this process has committed."""
        return self._commits.sizes

    async def load(self, stream: str, after: int = 0) -> list[Recorded]:
        """A stream's events after a version; none if there is no such stream."""
        with tracing.loading(self.context, stream, shared=self.shared):
            return await self._streams.ask((stream, after))

    async def append(self, append: Append) -> Appended:
        """Commit the append, all of it or nothing.

        Checked in this order: raises CommandRepeated or CommandReused, CheckpointMoved, Conflict. A part
        without events only checks its stream's version. When it raises StoreUnavailable or is cancelled, the
        append may or may not be committed; send the same command again.
        """
        with tracing.appending(self.context, append, shared=self.shared):
            appended = await self._commits.append(append)
        self._written = max(self._written, *appended.positions, 0)
        return appended

    async def command(self, command_id: str) -> CommandRecord | None:
        """The command of this id, if it was carried out."""
        return await self._commands.ask(command_id)

    async def notes(self, kind: str, keys: Collection[str] | None = None) -> dict[str, bytes]:
        """The notes of a kind, those with the given keys or all."""
        return await self._notes.ask((kind, None if keys is None else list(keys)))

    async def read_log(
        self,
        after: int,
        limit: int,
        *,
        partitions: Collection[int] | None = None,
        stream: str | None = None,
        names: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Recorded]:
        """Up to `limit` events after a position, in order; of them those the filters name.

        `since` is inclusive, `until` exclusive. No event will ever appear before one that was read.
        """
        wanted = LogFilter(partitions=partitions, stream=stream, names=names, since=since, until=until)
        lane = self._search if wanted.searches else self._tail
        return await lane.run(lane.recorder.select_log, after, limit, wanted)

    async def head(self) -> int:
        """The position of the last event; 0 when there is none."""
        return await self._tail.run(self._tail.recorder.max_notification_id) or 0

    async def partition_heads(self, upto: int | None = None) -> list[int]:
        """The position of each partition's last event, not above `upto`; 0 when there is none."""
        return await self._tail.run(self._tail.recorder.partition_heads, upto)

    async def behind(self, positions: Sequence[int]) -> list[Behind]:
        """For each of the 16 partitions, what lies after its position; counted up to 100,000."""
        if len(positions) != PARTITIONS:
            raise ValueError(f"{len(positions)} positions for {PARTITIONS} partitions")
        return await self._search.run(self._search.recorder.behind, positions)

    async def checkpoints(self, reader: str) -> dict[tuple[str, int], Checkpoint]:
        """A reader's checkpoints, by context and partition."""
        return await self._tail.run(self._tail.recorder.checkpoints, reader)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop after every commit, also of other processes; it never blocks."""
        self._listeners.append(listener)

    def _committed(self) -> None:
        for listener in self._listeners:
            try:
                listener()
            except Exception:
                log.exception("commit listener failed", context=self.context)

    @property
    def lost_lead(self) -> asyncio.Event:
        """Set when this process led and no longer does; `lead` again clears it."""
        return self._election.lost_lead

    async def lead(self) -> None:
        """Return when this process is the context's leader; it is until `close` or `lost_lead`."""
        await self._election.lead()

    async def put_back(self, events: Sequence[Recorded], commands: Sequence[CommandRecord]) -> None:
        """Write events after the last one, at their own positions, while nobody else uses the store.

        What was published and is not in a store that was restored from a backup comes back this way.
        """
        connection = await asyncio.to_thread(self._database.connect)
        try:
            await asyncio.to_thread(connection.recorder.put_back, events, commands)
        finally:
            await asyncio.to_thread(connection.close)

    async def check(self) -> None:
        """Raises StoreReplaced if another store was put in the place of this one since it was opened."""
        await asyncio.to_thread(self._commits.check)
        written, head = self._written, await self.head()
        if head < written:
            raise StoreReplaced(f"the store of {self.context}, which had position {written}, was exchanged")

    def noted_head(self) -> int:
        """How far the store had come when that was noted last; 0 if nothing says so.

        A backup that is put in the store's place leaves the note as it was.
        """
        try:
            return 0 if self._head_note is None else int(self._head_note.read_text())
        except (OSError, ValueError):
            return 0

    async def note_head(self) -> None:
        """Note how far the store has come, unless that is known. Raises StoreUnavailable."""
        head = await self.head()
        if self._head_note is not None and head != self._noted:
            await asyncio.to_thread(_replace, self._head_note, f"{head}\n")
            self._noted = head

    async def close(self) -> None:
        """Commit and answer what waits, then let go of the database; one that does not answer is cut off."""
        closing = asyncio.create_task(self._close())
        commits = self._commits.progress
        while not closing.done():
            await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
            if commits == self._commits.progress:
                self._commits.interrupt()
                for lane in self._lanes:
                    lane.connection.interrupt()
            commits = self._commits.progress
        closing.result()

    async def _close(self) -> None:
        await self._commits.close()
        await self._election.close()
        await asyncio.gather(*(asyncio.to_thread(lane.finish) for lane in self._lanes))
        # One after the other: the last connection moves SQLite's log into the file. Of two that are closed at
        # the same moment neither is the last, and a copy of the file alone would lack what is in the log.
        for lane in self._lanes:
            await asyncio.to_thread(lane.connection.close)
        await asyncio.to_thread(self._database.close)


def _replace(file: Path, content: str) -> None:
    """Write a file that is lost rather than half there; raises StoreUnavailable."""
    draft = file.with_name(file.name + ".draft")
    try:
        draft.write_text(content)
        draft.replace(file)
    except OSError as error:
        raise StoreUnavailable(f"{file} cannot be written ({error.strerror})") from error
