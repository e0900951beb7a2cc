"""What both databases' recorders share: the library's questions, answered by what production asks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from eventsourcing.persistence import Notification, ProcessRecorder, StoredEvent, Tracking

from infra.event_store.batch import TRACKING, WHOLE_LOG, Group, InsertEvents, microseconds
from infra.event_store.errors import Outcome
from infra.messages.events import PARTITIONS, Append, Behind, Checkpoint, CommandRecord, Recorded

COUNTED_AT_MOST = 100_000
"""Up to here events behind a position are counted, per partition; beyond, the number says "at least"."""


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a log are wanted; None = all. `since` and `upto` are inclusive, `until` is not."""

    partitions: Collection[int] | None = None
    stream: str | None = None
    names: Collection[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    upto: int | None = None

    @property
    def searches(self) -> bool:
        """Whether the database may have to look at many events to find one."""
        return self.names is not None or self.since is not None or self.until is not None


class EventRecorder(ProcessRecorder):
    """Writes and reads a context's tables; in production every method raises StoreUnavailable."""

    datastore: Any
    SCHEMA: ClassVar[Sequence[str]]
    OWN: ClassVar[str]
    """Gives the database to a context, unless it has an owner."""
    POSITION: ClassVar[str]
    """The log's column."""
    VALUE: ClassVar[str]
    ONE_OF: ClassVar[str]
    """A value, and one of several of a type, in a statement."""

    def create_table(self) -> None:
        """Make our tables; none of the library's and its migrations of them."""
        with self.datastore.transaction(commit=True) as cursor:
            for statement in self.SCHEMA:
                cursor.execute(statement)

    def claim(self, context: str) -> str:
        """Make the tables and give the database to the context, unless it has an owner; returns the owner."""
        self.create_table()
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(self.OWN, (context,))
            cursor.execute("SELECT context FROM owner")
            return str(cursor.fetchone()[0])

    def insert_group(self, appends: Sequence[Append]) -> list[Outcome]:
        """Write in one transaction what holds, and answer each append.

        Raises StoreUnavailable when the database cannot say (any more) what became of the group; any other
        exception means that nothing was written.
        """
        return self._write(Group(appends))

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """A group of one, with `tracking` among the checkpoints; raises IntegrityError."""
        group = InsertEvents(stored_events, kwargs.get("tracking"), kwargs.get("metadata"))
        self._write(group)
        return [row.position for row in group.events]

    def insert_tracking(self, tracking: Tracking) -> None:
        """The same without events."""
        self.insert_events((), tracking=tracking)

    @abstractmethod
    def _write(self, group: Group) -> list[Outcome]:
        """Judge a group and write in one transaction what holds."""

    @abstractmethod
    def put_back(self, events: Sequence[Recorded], commands: Sequence[CommandRecord]) -> None:
        """Write events where they stood, and the commands that caused them, in one transaction."""

    @abstractmethod
    def select_streams(
        self,
        wanted: Sequence[tuple[str, int]],
        *,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[list[Recorded]]:
        """The events of streams, of each those after a version; `limit` is of all together."""

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """One stream's."""
        after = -1 if gt is None else gt
        (events,) = self.select_streams([(str(originator_id), after)], lte=lte, desc=desc, limit=limit)
        return [StoredEvent(event.stream, event.version, event.name, event.data) for event in events]

    @abstractmethod
    def select_log(self, after: int, limit: int, wanted: LogFilter) -> list[Recorded]:
        """Events after a position, in order."""

    def _conditions(self, after: int, wanted: LogFilter) -> tuple[str, list[Any]]:
        """What holds for the events of a log, and the values in it."""
        # Within a stream an index leads to its few events; an expression is not looked up in the log's.
        position = self.POSITION if wanted.stream is None else f"+{self.POSITION}"
        conditions, values = [f"{position} > {self.VALUE}"], list[Any]([after])

        def add(condition: str, value: object) -> None:
            conditions.append(condition)
            values.append(value)

        if wanted.upto is not None:
            add(f"{position} <= {self.VALUE}", wanted.upto)
        if wanted.stream is not None:
            add(f"originator_id = {self.VALUE}", wanted.stream)
        if wanted.partitions is not None and len(set(wanted.partitions)) < PARTITIONS:
            add(f"partition {self.ONE_OF.format('smallint')}", self._list(wanted.partitions))
        if wanted.names is not None:
            add(f"topic {self.ONE_OF.format('text')}", self._list(wanted.names))
        if wanted.since is not None:
            add(f"recorded_at >= {self.VALUE}", microseconds(wanted.since))
        if wanted.until is not None:
            add(f"recorded_at < {self.VALUE}", microseconds(wanted.until))
        return " AND ".join(conditions), values

    @abstractmethod
    def _list(self, values: Collection[object]) -> object:
        """Several values, as one of a statement."""

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The log's."""
        after = 0 if start is None else start - inclusive_of_start
        return [
            Notification(event.stream, event.version, event.name, event.data, event.position)
            for event in self.select_log(after, limit, LogFilter(names=topics or None, upto=stop))
        ]

    @abstractmethod
    def partition_heads(self, upto: int | None) -> list[int]:
        """Each partition's last position, not above `upto`."""

    @abstractmethod
    def behind(self, positions: Sequence[int]) -> list[Behind]:
        """For each partition, what lies after its position."""

    @abstractmethod
    def commands(self, wanted: Sequence[str]) -> list[CommandRecord | None]:
        """What is known of commands, by id."""

    @abstractmethod
    def checkpoints(self, reader: str) -> dict[tuple[str, int], Checkpoint]:
        """A reader's checkpoints, by context and partition."""

    def max_tracking_id(self, application_name: str) -> int | None:
        """Of an application that tracks itself here, the last position."""
        checkpoint = self.checkpoints(TRACKING).get((application_name, WHOLE_LOG))
        return None if checkpoint is None else checkpoint.position

    @abstractmethod
    def notes(self, wanted: Sequence[tuple[str, Sequence[str] | None]]) -> list[dict[str, bytes]]:
        """For each kind, the notes with the keys, or all."""
