"""The processes that share a PostgreSQL database: who leads, and what the others commit."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

import psycopg
import structlog
from psycopg import AsyncConnection

from infra.aio import cancel_all
from infra.event_store.postgres.connection import place

Session: TypeAlias = AsyncConnection[tuple[Any, ...]]

CHANNEL = "stored_events"
"""Notified by every commit, with the writing process's name; the library's subscriptions listen to it too."""

LEAD_LOCK = (4240, 2)
"""The session lock that the leader holds."""

POLL_SECONDS = 5.0
"""A notification may be lost with its connection: so often the log counts as changed anyway."""

CHECK_SECONDS = 1.0
"""Pause between tries to lead, and between looks whether the leader's connection still lives."""

ANSWER_SECONDS = 5.0
"""What does not answer within this is lost."""

log = structlog.get_logger(__name__)


class PostgresLeaderElection:
    """Leads by a lock of its own session, which ends with it: the lock can be lost, but never held twice."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.name = uuid.uuid4().hex[:12]
        self.lost_lead = asyncio.Event()
        self._known = known
        self._listening: asyncio.Task[NoReturn] | None = None
        self._leading: asyncio.Task[None] | None = None

    async def _connect(self) -> Session:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            session = await AsyncConnection.connect(**self._known, autocommit=True)
        try:
            _end_if_cancelled()
        except asyncio.CancelledError:
            await session.close()
            raise
        return session

    def hear(self, committed: Callable[[], None]) -> None:
        """Call this after the commits of other processes."""
        self._listening = asyncio.create_task(self._listen(committed))

    async def _listen(self, committed: Callable[[], None]) -> NoReturn:
        reached = True
        while True:
            try:
                async with await self._connect() as session:
                    await session.execute(f"LISTEN {CHANNEL}")
                    reached = True
                    while True:
                        # Whatever was committed before we listened, or while the connection was silent.
                        committed()
                        async for notice in session.notifies(timeout=POLL_SECONDS):
                            _end_if_cancelled()
                            if notice.payload != self.name:
                                committed()
                        await _answers(session)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if reached:
                    log.warning("commit notifications lost", store=place(self._known), error=str(error))
                reached = False
            # Without a connection the log counts as changed now and then.
            committed()
            await asyncio.sleep(CHECK_SECONDS)

    async def lead(self) -> None:
        """Return when this process leads; the others wait for it to end or to lose its connection."""
        if self._leading is not None and not self._leading.done():
            return
        reached = True
        while True:
            try:
                session = await self._locked()
                break
            except (psycopg.Error, OSError, TimeoutError) as error:
                if reached:
                    log.warning("leader election failed", store=place(self._known), error=str(error))
                reached = False
                await asyncio.sleep(CHECK_SECONDS)
        self.lost_lead.clear()
        self._leading = asyncio.create_task(self._keep(session))

    async def _locked(self) -> Session:
        """A session that holds the lock."""
        session = await self._connect()
        try:
            while True:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await session.execute("SELECT pg_try_advisory_lock(%s, %s)", LEAD_LOCK)
                    led = await answer.fetchone() == (True,)
                _end_if_cancelled()
                if led:
                    return session
                await asyncio.sleep(CHECK_SECONDS)
        except BaseException:
            await session.close()
            raise

    async def _keep(self, session: Session) -> None:
        """Look whether the session lives; without it the lock is another's."""
        try:
            while True:
                await asyncio.sleep(CHECK_SECONDS)
                await _answers(session)
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("leadership lost", store=place(self._known), error=str(error))
        finally:
            self.lost_lead.set()
            await session.close()

    async def close(self) -> None:
        """Leave: somebody else may lead."""
        await cancel_all(self._listening, self._leading)


async def _answers(session: Session) -> None:
    """Return if the server answers; raises TimeoutError or psycopg.Error."""
    async with asyncio.timeout(ANSWER_SECONDS):
        await session.execute("SELECT 1")
    _end_if_cancelled()


def _end_if_cancelled() -> None:
    """End a task that was cancelled: psycopg waits with asyncio.wait_for, which may swallow that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
