"""Sends the saga's commands: one after the other within an order, many orders at once, each until settled."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog

from contexts.fulfilment.issued import OUTBOX, IssuedCommand, decode, saga_stream
from contexts.fulfilment.knowledge import Saga
from contexts.fulfilment.outcomes import Outcomes
from contexts.fulfilment.patience import Patience
from contexts.fulfilment.settlement import needed_by, obsolete
from infra.commands import Accepted, Answer, Envelope, RefusalKind, Refused
from infra.event_store import StoreUnavailable
from infra.log import trace_of
from infra.records import key_of
from infra.runtime import RunningContext

ACTOR = "fulfilment"

DOUBTFUL = frozenset({RefusalKind.REJECTED, RefusalKind.UNKNOWN})
"""Refusals that a fact may explain which the saga has not heard yet."""

log = structlog.get_logger(__name__)


class Lane:
    """The commands of one order that wait to be sent, in the order they were issued."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.waiting: list[tuple[tuple[int, int], IssuedCommand]] = []
        self.news = asyncio.Event()

    def add(self, command: IssuedCommand) -> bool:
        """Queue a command; False if it is here already."""
        if command.command_id in self.ids:
            return False
        self.ids.add(command.command_id)
        heapq.heappush(self.waiting, (command.place, command))
        # Whoever waits to try an earlier command again may not need to any more.
        self.news.set()
        return True


class Dispatcher:
    """Keeps the outbox empty. What it has not settled when it stops or dies is sent again by the next one."""

    def __init__(self, running: RunningContext, patience: Patience) -> None:
        self._running = running
        self._patience = patience
        self._outcomes = Outcomes(running)
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(patience.under_way)
        self._stopped = False
        self._count = 0
        self._room = asyncio.Event()
        self._room.set()

    async def start(self) -> None:
        """Send everything that is not settled."""
        await self._outcomes.start()
        outbox = await self._running.store.notes(OUTBOX)
        self.issue(map(decode, outbox.values()))

    async def stop(self) -> None:
        """End at once: whatever is under way is sent again, with the same id, by whoever starts next."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._outcomes.stop()

    async def room(self) -> None:
        """Return when not too many commands wait, so that hearing facts cannot outrun sending commands."""
        await self._room.wait()

    def has(self, command_id: str) -> bool:
        """Whether a command is being sent."""
        order_id = key_of(command_id).rsplit(":", 2)[0]
        lane = self._lanes.get(order_id)
        return lane is not None and command_id in lane.ids

    def issue(self, commands: Iterable[IssuedCommand]) -> None:
        """Send commands that the store holds; after `stop`, whoever starts next finds them there."""
        if self._stopped:
            return
        for command in commands:
            lane = self._lanes.get(command.order_id)
            if lane is None:
                lane = self._lanes[command.order_id] = Lane()
                task = asyncio.create_task(self._work(command.order_id, lane))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if lane.add(command):
                self._counted(1)

    def _counted(self, change: int) -> None:
        self._count += change
        if self._count < self._patience.waiting:
            self._room.set()
        else:
            self._room.clear()

    async def _work(self, order_id: str, lane: Lane) -> None:
        while lane.waiting:
            _, command = heapq.heappop(lane.waiting)
            structlog.contextvars.bind_contextvars(
                order_id=order_id,
                correlation_id=command.correlation_id,
                trace_id=trace_of(command.traceparent),
            )
            try:
                problem = await self._carry_out(command, lane)
                # From here on an operator may have it sent again.
                lane.ids.discard(command.command_id)
                if problem is None:
                    self._outcomes.settle(command)
                else:
                    await self._outcomes.fail(command, problem)
            except Exception:
                # A defect must not hold up the order's other commands; this one stays in the outbox.
                log.exception("command left for the next start", command=command.command_id)
            self._counted(-1)
        del self._lanes[order_id]

    async def _carry_out(self, command: IssuedCommand, lane: Lane) -> str | None:
        """Send a command until it is settled; returns why it failed, if it did."""
        tries = 0
        while True:
            lane.news.clear()
            answer = await self._try(command, first=tries == 0)
            tries += 1
            match answer:
                case None | Accepted():
                    return None
                case Refused(rule=rule) if tries >= self._tries(answer):
                    return rule
            try:
                async with asyncio.timeout(self._patience.pause(tries)):
                    await lane.news.wait()
            except TimeoutError:
                continue

    def _tries(self, answer: Refused) -> int:
        if answer.retryable:
            return self._patience.tries
        return self._patience.doubts if answer.kind in DOUBTFUL else 1

    async def _try(self, command: IssuedCommand, *, first: bool) -> Answer | None:
        """Send a command once; None if there is no need to."""
        running = self._running
        try:
            # What is known may be out of date where other processes write, too.
            folded = await running.streams.load(saga_stream(command.order_id), fresh=not first)
        except StoreUnavailable as error:
            return Refused(RefusalKind.UNAVAILABLE, str(error))
        saga: Saga = folded.state
        known_as_failed = any(it.command_id == command.command_id for it in saga.failures)
        if known_as_failed or obsolete(saga, command.name, command.return_id):
            return None
        needed = needed_by(command.name)
        if any((it.command, it.return_id) == (needed, command.return_id) for it in saga.failures):
            return Refused(RefusalKind.INVALID, f"not sent: {needed} has failed before it")
        context, _, name = command.name.partition(".")
        async with self._slots:
            now = datetime.now(UTC)
            envelope = Envelope(
                command_id=command.command_id,
                correlation_id=command.correlation_id,
                causation_id=command.causation_id,
                actor=ACTOR,
                time=now,
                deadline=now + timedelta(seconds=self._patience.answer_within),
                traceparent=command.traceparent,
            )
            return await running.commands.send(context, name, bytes(command.body), envelope)
