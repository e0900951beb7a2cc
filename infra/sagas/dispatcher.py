"""Sends commands from the outbox: in order within an instance, many instances at once, each until settled."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog

from infra.aio import cancel_all, wait_for_event
from infra.event_store.store import StoreUnavailable
from infra.messages.commands import Accepted, Answer, Envelope, RefusalKind, Refused, Token
from infra.observability.logging.setup import trace_of
from infra.retry import retry
from infra.runtime.context import RunningContext
from infra.sagas.acknowledgements import Acknowledgements
from infra.sagas.outbox import OUTBOX, OutboxMessage
from infra.sagas.process_manager import ProcessManager
from infra.sagas.retry_policy import RetryPolicy

DOUBTFUL = frozenset({RefusalKind.REJECTED, RefusalKind.UNKNOWN, RefusalKind.REUSED})
"""Refusals that an event may explain which has not been received yet. REUSED: before the store was lost, the
same was asked for, for another reason."""

log = structlog.get_logger(__name__)


class Lane:
    """The commands of one instance that wait to be sent, in the order they were asked for."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.waiting: list[tuple[tuple[int, int], OutboxMessage]] = []
        self.news = asyncio.Event()

    def add(self, command: OutboxMessage) -> bool:
        """Queue a command; False if it is here already."""
        if command.command_id in self.ids:
            return False
        self.ids.add(command.command_id)
        heapq.heappush(self.waiting, (command.place, command))
        # Whoever waits to try an earlier command again may not need to any more.
        self.news.set()
        return True


class Dispatcher:
    """Keeps the outbox empty. What it has not settled when it stops or dies is sent again by the next one.

    It sends nothing before everything was received that had happened when this process began: a process
    manager that lost its store would ask for what was done long ago.
    """

    def __init__(self, manager: ProcessManager, running: RunningContext, policy: RetryPolicy) -> None:
        self._manager = manager
        self._running = running
        self._policy = policy
        self._acknowledgements = Acknowledgements(manager, running)
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(policy.under_way)
        self._sending = False
        self._caught_up = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._count = 0
        self._room = asyncio.Event()
        self._room.set()

    async def start(self) -> None:
        """Send everything that is not settled, once it is known what has happened."""
        await self._acknowledgements.start()
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        await self._running.caught_up()
        self._caught_up.set()
        outbox = await retry(
            lambda: self._running.store.notes(OUTBOX),
            StoreUnavailable,
            first=self._policy.first_pause,
            longest=self._policy.longest_pause,
            report=lambda error: log.warning("outbox cannot be read", error=str(error)),
        )
        self._sending = True
        self.send_notes(outbox.values())

    async def stop(self) -> None:
        """End at once: whatever is under way is sent again, with the same id, by whoever starts next."""
        self._sending = False
        await cancel_all(self._opening, *self._tasks)
        await self._acknowledgements.stop()

    async def caught_up(self) -> None:
        """Return when everything was received that had happened when this process began."""
        await self._caught_up.wait()

    async def room(self) -> None:
        """Return when not too many commands wait, so that receiving events cannot outrun sending commands."""
        await self._room.wait()

    def has(self, command_id: str) -> bool:
        """Whether a command is being sent, or waits for the event that shows its effect."""
        lane = self._lanes.get(self._manager.key_of_command(command_id))
        sent = lane is not None and command_id in lane.ids
        return sent or not self._sending or self._acknowledgements.has(command_id)

    def send_notes(self, notes: Iterable[bytes]) -> None:
        """The same for notes of the outbox."""
        self.send(map(self._manager.read, notes))

    def send(self, commands: Iterable[OutboxMessage]) -> None:
        """Send commands that the store holds; before the start and after `stop` they wait there."""
        if not self._sending:
            return
        for command in commands:
            lane = self._lanes.get(command.key)
            if lane is None:
                lane = self._lanes[command.key] = Lane()
                task = asyncio.create_task(self._work(command.key, lane))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if lane.add(command):
                self._counted(1)

    def _counted(self, change: int) -> None:
        self._count += change
        if self._count < self._policy.waiting:
            self._room.set()
        else:
            self._room.clear()

    async def _work(self, key: str, lane: Lane) -> None:
        while lane.waiting:
            _, command = heapq.heappop(lane.waiting)
            structlog.contextvars.bind_contextvars(
                correlation_id=command.correlation_id,
                trace_id=trace_of(command.traceparent),
                **{self._manager.key_field: key},
            )
            try:
                end = await self._carry_out(command, lane)
                # From here on an operator may have it sent again.
                lane.ids.discard(command.command_id)
                match end:
                    case Refused(rule=rule):
                        await self._acknowledgements.fail(command, rule)
                    case Token():
                        self._acknowledgements.accepted(command, end)
                    case None:
                        self._acknowledgements.done(command)
            except Exception:
                # A defect must not hold up the instance's other commands; this one stays in the outbox.
                log.exception("command left in the outbox", command=command.command_id)
            self._counted(-1)
        del self._lanes[key]

    async def _carry_out(self, command: OutboxMessage, lane: Lane) -> Refused | Token | None:
        """Send a command until it has ended: refused, accepted at a token, or no longer needed."""
        tries = 0
        while True:
            lane.news.clear()
            answer = await self._try(command, first=tries == 0)
            tries += 1
            match answer:
                case None:
                    return None
                case Accepted():
                    return Token(command.context, answer.position, answer.partition)
                case Refused() if tries >= self._tries(answer):
                    return answer
            await wait_for_event(lane.news, self._policy.pause(tries))

    def _tries(self, answer: Refused) -> int:
        if answer.retryable:
            return self._policy.tries
        return self._policy.doubts if answer.kind in DOUBTFUL else 1

    async def _try(self, command: OutboxMessage, *, first: bool) -> Answer | None:
        """Send a command once; None if there is no need to."""
        running = self._running
        try:
            # What is known may be out of date where other processes write, too.
            folded = await running.streams.load(self._manager.stream(command.key), fresh=not first)
        except StoreUnavailable as error:
            return Refused(RefusalKind.UNAVAILABLE, str(error))
        if self._manager.settled(folded.state, command):
            return None
        if reason := self._manager.blocked(folded.state, command):
            return Refused(RefusalKind.INVALID, f"not sent: {reason}")
        context, _, name = command.name.partition(".")
        async with self._slots:
            now = datetime.now(UTC)
            envelope = Envelope(
                command_id=command.command_id,
                correlation_id=command.correlation_id,
                causation_id=command.causation_id,
                actor=self._manager.name,
                time=now,
                deadline=now + timedelta(seconds=self._policy.answer_within),
                traceparent=command.traceparent,
            )
            return await running.commands.send(context, name, bytes(command.body), envelope)
