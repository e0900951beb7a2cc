"""Concurrent appends share commits: one writer takes what waits, writes it at once, answers each."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from infra.event_store.backend import Connection
from infra.event_store.errors import Outcome, StoreBusy, StoreUnavailable
from infra.messages.events import Append, Appended
from infra.observability import tracing
from infra.observability.metrics.instruments import StoreMeasures

WAITING_AT_MOST = 10_000
"""Appends that may wait; beyond, an append is refused at once."""

APPENDS_AT_MOST = 500
"""Appends of one commit."""

BYTES_AT_MOST = 8 * 1024 * 1024
"""Bytes of one commit, unless one append alone has more."""

SECONDS_AT_MOST = 30.0
"""How long the writer may be at one commit before its waiters are told that the store does not answer."""

log = structlog.get_logger(__name__)


class CommitSizes(msgspec.Struct):
    """What was committed so far."""

    commits: int = 0
    appends: int = 0
    events: int = 0
    largest: int = 0


class Waiting:
    """An append, the future of its answer, and the span it is a part of."""

    __slots__ = ("answer", "append", "span")

    def __init__(self, append: Append, answer: asyncio.Future[Appended]) -> None:
        self.append = append
        self.answer = answer
        self.span = tracing.current_span()


class GroupCommit:
    """The one way to write to a store."""

    def __init__(self, connection: Connection, name: str, committed: Callable[[], None]) -> None:
        """`committed` is called on the event loop after every commit."""
        self.sizes = CommitSizes()
        self._measures = StoreMeasures(name)
        self._name = name
        self._connection = connection
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._waiting: dict[Waiting, None] = {}
        self._closing = False
        self._stopped = self._loop.create_future()
        self.progress = 0
        """Grows with every group that was answered."""
        self._watch: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name=f"{name}-writer", daemon=True)
        self._thread.start()

    async def append(self, append: Append) -> Appended:
        """Return when it is committed; raises what it is refused for.

        A cancelled caller does not know whether it was committed.
        """
        if self._closing:
            raise StoreUnavailable("the store is closed")
        if len(self._waiting) >= WAITING_AT_MOST:
            raise StoreBusy(f"{WAITING_AT_MOST} appends wait for the store already: try again")
        waiting = Waiting(append, self._loop.create_future())
        self._waiting[waiting] = None
        if self._watch is None:
            self._watch_progress()
        self._queue.put(waiting)
        return await waiting.answer

    async def close(self) -> None:
        """Commit what waits, answer everyone, stop."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.shield(self._stopped)
        self._thread.join()
        if self._watch is not None:
            self._watch.cancel()

    def check(self) -> None:
        """Raises StoreReplaced if the store was exchanged since it was opened."""
        self._connection.check()

    def interrupt(self) -> None:
        """Let the write under way fail."""
        self._connection.interrupt()

    def _run(self) -> None:
        try:
            while group := self._take():
                begun = time.perf_counter()
                with tracing.committing(self._name, group):
                    outcomes = self._write([waiting.append for waiting in group])
                self._measures.commit_seconds(time.perf_counter() - begun)
                self._loop.call_soon_threadsafe(self._answer, group, outcomes)
        finally:
            self._connection.close()
            self._loop.call_soon_threadsafe(self._stopped.set_result, None)

    def _take(self) -> list[Waiting]:
        """Wait for appends and take as many as one commit may hold; none at the end."""
        group: list[Waiting] = []
        size = 0
        while True:
            try:
                waiting = self._queue.get(block=not group)
            except queue.Empty:
                return group
            if waiting is None:
                # The end: after what was taken so far.
                if group:
                    self._queue.put(None)
                return group
            if waiting.answer.done():
                # Its caller was cancelled or told that the store hangs.
                self._loop.call_soon_threadsafe(self._waiting.pop, waiting, None)
                continue
            group.append(waiting)
            size += _size(waiting.append)
            if len(group) >= APPENDS_AT_MOST or size >= BYTES_AT_MOST:
                return group

    def _write(self, appends: Sequence[Append]) -> list[Outcome]:
        try:
            return self._connection.recorder.insert_group(appends)
        except StoreUnavailable as error:
            return [error] * len(appends)
        except Exception as error:  # noqa: BLE001 - whatever an append's values provoke is that append's answer
            if len(appends) == 1:
                return [error]
            # One of them has a value the database refuses, or somebody wrote beside us: each on its own.
            return [outcome for append in appends for outcome in self._write([append])]

    def _answer(self, group: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
        committed = events = 0
        for waiting, outcome in zip(group, outcomes, strict=True):
            self._waiting.pop(waiting, None)
            if isinstance(outcome, Appended):
                committed += 1
                size = sum([len(part.events) for part in waiting.append.streams])
                events += size
                self._measures.append_events(size)
                if not waiting.answer.done():
                    waiting.answer.set_result(outcome)
            elif not waiting.answer.done():
                waiting.answer.set_exception(outcome)
        self.progress += 1
        if committed:
            sizes = self.sizes
            sizes.commits += 1
            sizes.appends += committed
            sizes.events += events
            sizes.largest = max(sizes.largest, committed)
            self._measures.group_commit_appends(committed)
            self._committed()

    def _watch_progress(self, seen: int = -1) -> None:
        """Look every now and then whether the writer gets on; if not, let its write fail."""
        self._watch = None
        if not self._waiting:
            return
        if self.progress == seen:
            log.error("event store does not answer", waiting=len(self._waiting), seconds=SECONDS_AT_MOST)
            for waiting in self._waiting:
                if not waiting.answer.done():
                    waiting.answer.set_exception(
                        StoreUnavailable(f"the store did not answer within {SECONDS_AT_MOST:g} s: try again")
                    )
            self._connection.interrupt()
        self._watch = self._loop.call_later(SECONDS_AT_MOST, self._watch_progress, self.progress)


def _size(append: Append) -> int:
    events = sum([len(event.data) for part in append.streams for event in part.events])
    if not append.notes:
        return events
    return events + sum([len(note.value) for note in append.notes if note.value is not None])
