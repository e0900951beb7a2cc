"""Concurrent reads of one kind are served together: one thread hop and one query for all that wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from infra.event_store.errors import StoreBusy, StoreUnavailable

WAITING_AT_MOST = 10_000
"""Reads that may wait; beyond, a read is refused at once."""

READS_AT_MOST = 500
"""Reads served together."""

SECONDS_AT_MOST = 30.0
"""How long the database may take for one read."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class GroupRead(Generic[Question, Answer]):
    """Reads of one kind on one thread."""

    def __init__(
        self,
        executor: Executor,
        read: Callable[[Sequence[Question]], Sequence[Answer]],
        interrupt: Callable[[], None],
        read_seconds: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`read_seconds` is told how long each query took."""
        self._executor = executor
        self._read = read
        self._interrupt = interrupt
        self._read_seconds = read_seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._under_way = False

    async def ask(self, question: Question) -> Answer:
        """The answer to one question; raises StoreUnavailable."""
        if len(self._waiting) >= WAITING_AT_MOST:
            raise StoreBusy(f"{WAITING_AT_MOST} reads wait for the store already: try again")
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.append((question, answer))
        if not self._under_way:
            self._under_way = True
            # Not at once: whatever else is asked in this turn of the event loop goes along.
            self._loop.call_soon(self._start)
        return await answer

    def _start(self) -> None:
        group = [item for item in self._waiting[:READS_AT_MOST] if not item[1].done()]
        del self._waiting[:READS_AT_MOST]
        if not group:
            self._next()
            return
        begun = time.perf_counter()
        try:
            reading = self._loop.run_in_executor(self._executor, self._read, [item[0] for item in group])
        except RuntimeError:
            self._fail(group, StoreUnavailable("the store is closed"))
            self._next()
            return
        overdue = self._loop.call_later(SECONDS_AT_MOST, self._interrupt)

        def done(reading: asyncio.Future[Sequence[Answer]]) -> None:
            overdue.cancel()
            self._read_seconds(time.perf_counter() - begun)
            error = reading.exception()
            if error is None:
                for (_, answer), value in zip(group, reading.result(), strict=True):
                    if not answer.done():
                        answer.set_result(value)
            else:
                self._fail(group, error)
            self._next()

        reading.add_done_callback(done)

    def _fail(self, group: Sequence[tuple[Question, asyncio.Future[Answer]]], error: BaseException) -> None:
        for _, answer in group:
            if not answer.done():
                answer.set_exception(error)

    def _next(self) -> None:
        self._under_way = bool(self._waiting)
        if self._under_way:
            self._start()
