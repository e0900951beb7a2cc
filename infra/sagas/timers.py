"""Durable timers: the store says which are outstanding, JetStream's schedule only says when to look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from infra.aio import cancel_all
from infra.event_store.store import EventStore, StoreUnavailable
from infra.nats.connection import NatsUnavailable
from infra.nats.jetstream import JetStreamRefused
from infra.runtime.timers import Timers
from infra.sagas.process_manager import Timer

TIMER = "timer"
"""Notes by `<key>:<timer>`: when it is due."""

SET_EVERY = 0.5
"""Seconds between changes to the clock: most timers are cancelled before they were ever set there."""

EARLY = timedelta(seconds=1)
"""How far the alarm clock may be ahead of ours."""

SWEEP_EVERY = 30.0
"""Seconds between looks for timers whose ring was lost."""

NOT_ON_CLOCK = "timers are not on the clock, the sweep will find them"

log = structlog.get_logger(__name__)

Fire = Callable[[str, str], Awaitable[None]]


def timer_key(key: str, timer: str) -> str:
    """The id of an instance's timer, in the store and on the clock."""
    return f"{key}:{timer}"


def due_note(timer: Timer) -> bytes:
    """What the store keeps of a timer."""
    return timer.due.astimezone(UTC).isoformat().encode()


def due_of(note: bytes) -> datetime:
    """When a kept timer is due."""
    return datetime.fromisoformat(note.decode())


def is_due(note: bytes | None, now: datetime) -> bool:
    """Whether a timer that rings is to be heard: not if it was cancelled, has fired or was set anew."""
    return note is not None and due_of(note) - EARLY <= now


class SagaTimers:
    """Sets the clock, listens to it, and finds the timers whose ring was lost."""

    def __init__(
        self, store: EventStore, clock: Timers, fire: Fire, *, sweep_every: float = SWEEP_EVERY
    ) -> None:
        """`fire` is called for a timer that may be due; it must not mind being called in vain."""
        self._store = store
        self._clock = clock
        self._fire = fire
        self._sweep_every = sweep_every
        self._wanted: dict[str, datetime | None] = {}
        self._on_clock: set[str] = set()
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Put every outstanding timer on the clock and answer it."""
        self._tasks = [
            asyncio.create_task(self._clock.listen(self._ring, self._restore)),
            asyncio.create_task(self._keep_set()),
            asyncio.create_task(self._sweep()),
        ]

    async def stop(self) -> None:
        """Stop; outstanding timers stay in the store."""
        await cancel_all(*self._tasks)

    def change(self, key: str, timers_set: Iterable[Timer], cancelled: Iterable[str]) -> None:
        """Bring the clock up to date with what the store holds now."""
        for timer in timers_set:
            self._wanted[timer_key(key, timer.name)] = timer.due
        for name in cancelled:
            timer_id = timer_key(key, name)
            if timer_id in self._on_clock:
                self._wanted[timer_id] = None
            else:
                self._wanted.pop(timer_id, None)
        self._news.set()

    async def _keep_set(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(SET_EVERY)
            self._news.clear()
            wanted, self._wanted = self._wanted, {}
            await self._set(wanted)

    async def _set(self, wanted: Mapping[str, datetime | None]) -> None:
        try:
            for key, due in wanted.items():
                if due is None:
                    await self._clock.cancel(key)
                    self._on_clock.discard(key)
                else:
                    self._on_clock.add(key)
                    await self._clock.set(key, due, b"")
        except (NatsUnavailable, JetStreamRefused) as error:
            log.warning(NOT_ON_CLOCK, error=str(error))

    async def _restore(self) -> None:
        """Set every outstanding timer on a new clock."""
        self._on_clock.clear()
        try:
            outstanding = await self._store.notes(TIMER)
        except StoreUnavailable as error:
            log.warning(NOT_ON_CLOCK, error=str(error))
            return
        await self._set({key: due_of(note) for key, note in outstanding.items()})

    async def _ring(self, timer_id: str, _: bytes) -> None:
        key, timer = timer_id.split(":", 1)
        self._on_clock.discard(timer_id)
        await self._fire(key, timer)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_every)
            try:
                now = datetime.now(UTC)
                for key, note in (await self._store.notes(TIMER)).items():
                    if due_of(note) <= now:
                        await self._ring(key, b"")
            except Exception:
                log.exception("timer sweep failed, retrying")
