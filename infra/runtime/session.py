"""One attempt to change some streams: load them, decide, record events; then all of it in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import msgspec

from infra.messages.commands import Envelope
from infra.messages.events import (
    Append,
    CheckpointMove,
    CommandRecord,
    Metadata,
    NewEvent,
    Note,
    StreamAppend,
)
from infra.runtime.stream_cache import Folded, Streams

LARGEST_EVENT = 900_000
"""Bytes; a NATS message holds 1 MB, and an event travels in one, with its headers."""

LARGEST_COMMANDED_EVENT = 670_000
"""Bytes; a saga's event holds the fact it heard beside the commands it answers with."""


class EventTooLarge(Exception):
    """What was asked for makes an event that could not be published."""

    def __init__(self, name: str, event: msgspec.Struct, limit: int) -> None:
        """`field` is the largest one of the event."""
        sizes = {field: len(msgspec.json.encode(getattr(event, field))) for field in event.__struct_fields__}
        self.field = max(sizes, key=lambda field: sizes[field])
        super().__init__(
            f"{name} would have {sum(sizes.values()):,} bytes, {sizes[self.field]:,} of them in "
            f"{self.field}; {limit:,} are the most"
        )


class Stale(Exception):
    """The stream does not stand at the version the sender expected."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the version is {version}")
        self.version = version


class UnitOfWork:
    """After a conflict it is thrown away and another one begins from what the store holds.

    Streams are held from the first load to the end, in the order they were loaded: to be free of deadlocks,
    whoever loads several does so in one order (a reservation before stocks, stocks sorted).
    """

    largest_event = LARGEST_EVENT

    def __init__(self, streams: Streams, *, fresh: bool = False) -> None:
        self.from_memory = False
        self._streams = streams
        self._fresh = fresh
        self._held = AsyncExitStack()
        self._folded: dict[str, Folded] = {}
        self._appends: list[StreamAppend] = []
        self._notes: list[Note] = []
        self._after_commit: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._held.aclose()

    async def load(self, *names: str) -> tuple[Any, ...]:
        """The states of streams, held until the session ends; what was recorded in it is in them."""
        missing = [name for name in dict.fromkeys(names) if name not in self._folded]
        for name in missing:
            await self._held.enter_async_context(self._streams.locked(name))
        # Asked for together, so that the store may answer together.
        loads = [self._streams.load(name, fresh=self._fresh) for name in missing]
        loaded = [await loads[0]] if len(loads) == 1 else await asyncio.gather(*loads)
        for name, folded in zip(missing, loaded, strict=True):
            self.from_memory = self.from_memory or not self._fresh
            self._folded[name] = folded
            self._loaded(name, folded)
        return tuple([self._folded[name].state for name in names])

    def _loaded(self, stream: str, folded: Folded) -> None:
        """Look at a stream before it is decided on."""

    def version(self, stream: str) -> int:
        """The version of a loaded stream, counting what was recorded in this session."""
        return self._folded[stream].version

    def position(self, stream: str) -> int:
        """Where a loaded stream's last event stands in the context's log; 0 if it has none."""
        return self._folded[stream].position

    def _record(self, stream: str, events: Sequence[msgspec.Struct], metadata: Metadata) -> None:
        folded = self._folded[stream]
        state, version = folded.state, folded.version
        encoded: list[NewEvent] = []
        for event in events:
            stored = self._streams.codec.encode(event)
            if len(stored.data) > self.largest_event:
                raise EventTooLarge(stored.name, event, self.largest_event)
            encoded.append(stored)
            state = self._streams.evolve(state, event)
            version += 1
        if encoded:
            self._appends.append(StreamAppend(stream, folded.version, tuple(encoded), metadata))
            self._folded[stream] = Folded(state, version, folded.position)

    async def notes(self, kind: str, keys: Collection[str] | None = None) -> dict[str, bytes]:
        """The context's own notes of a kind, those with the given keys or all."""
        return await self._streams.store.notes(kind, keys)

    def note(self, kind: str, key: str, value: bytes | None) -> None:
        """Write a note in the same transaction; None deletes it."""
        self._notes.append(Note(kind, key, value))

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this once everything is committed; not at all if it never is."""
        self._after_commit.append(callback)

    @property
    def changes(self) -> bool:
        """Whether anything was recorded or noted."""
        return bool(self._appends or self._notes)

    async def commit(
        self, command: CommandRecord | None = None, checkpoints: Iterable[CheckpointMove] = ()
    ) -> None:
        """Write everything in one transaction; raises what EventStore.append raises."""
        append = Append(
            streams=tuple(self._appends),
            command=command,
            checkpoints=tuple(checkpoints),
            notes=tuple(self._notes),
        )
        try:
            appended = await self._streams.store.append(append)
        except BaseException:
            # After a conflict another has changed them; one that was cancelled may have been committed.
            for stream in self._folded:
                self._streams.forget(stream)
            raise
        for part, position in zip(self._appends, appended.positions, strict=True):
            folded = self._folded[part.stream]
            self._folded[part.stream] = Folded(folded.state, folded.version, position)
        for stream in {part.stream for part in self._appends}:
            self._streams.keep(stream, self._folded[stream])
        for callback in self._after_commit:
            callback()

    async def commit_so_far(self) -> None:
        """Commit what is recorded and go on: it stays, whatever becomes of the rest.

        For what must be in the store before somebody outside is asked to act. Raises what `commit` raises.
        """
        await self.commit()
        changed = {part.stream for part in self._appends}
        if changed.issuperset(self._folded):
            # An append on what no longer held would have conflicted.
            self.from_memory = False
        self._appends.clear()
        self._notes.clear()
        self._after_commit.clear()


class Session(UnitOfWork):
    """The session of a command: every event it records is caused by the command."""

    largest_event = LARGEST_COMMANDED_EVENT

    def __init__(self, streams: Streams, envelope: Envelope, primary: str, *, fresh: bool = False) -> None:
        super().__init__(streams, fresh=fresh)
        self.envelope = envelope
        self._primary = primary
        self._metadata = Metadata(
            time=envelope.time,
            causation_id=envelope.command_id,
            correlation_id=envelope.correlation_id,
            actor=envelope.actor,
            traceparent=envelope.traceparent,
        )

    def _loaded(self, stream: str, folded: Folded) -> None:
        if stream != self._primary:
            return
        expected = self.envelope.expected_versions
        if self.envelope.must_exist and not folded.version:
            raise Stale(folded.version)
        if expected is not None and folded.version not in expected:
            raise Stale(folded.version)

    def record(self, stream: str, events: Sequence[msgspec.Struct]) -> None:
        """Add events to a loaded stream."""
        self._record(stream, events, self._metadata)


class EventSession(UnitOfWork):
    """The session of a batch of facts heard from other contexts, or of anything else that is no command."""

    def record(self, stream: str, events: Sequence[msgspec.Struct], metadata: Metadata) -> None:
        """Add events to a loaded stream, with who caused them."""
        self._record(stream, events, metadata)
