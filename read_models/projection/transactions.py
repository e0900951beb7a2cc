"""Runs a transaction, retrying while a dead client's open transaction blocks it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from infra.messages.events import CheckpointMoved
from infra.mongo import Mongo, MongoUnavailable, Transaction, TransactionConflict
from infra.retry import Backoff
from read_models.projection.sessions import ProjectorSessions

RETRY_SECONDS = 30.0
"""How long to try."""
BLOCKED_SECONDS = 1.0
"""How long others may be in the way before the transactions they have open are ended; then twice as long.

The server keeps those of a killed process for a minute; who is alive loses one, and does it again.
"""
FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.5

T = TypeVar("T")


async def retry_transaction(
    mongo: Mongo, sessions: ProjectorSessions, work: Callable[[Transaction], Awaitable[T]]
) -> T:
    """Do work in one transaction, again when somebody else wrote the same at the same time.

    `sessions` are of those who do. Raises TransactionConflict or CheckpointMoved if there was no chance, and
    MongoUnavailable.
    """
    session = await mongo.open_session()
    reached = True
    begun = blocked_since = time.monotonic()
    backoff, blocked = Backoff(FIRST_PAUSE, LONGEST_PAUSE), BLOCKED_SECONDS
    try:
        while True:
            await sessions.enter(session)
            try:
                async with session.transaction() as transaction:
                    return await work(transaction)
            except (TransactionConflict, CheckpointMoved):
                if time.monotonic() - begun > RETRY_SECONDS:
                    raise
            if time.monotonic() - blocked_since > blocked:
                await sessions.end_others(session)
                blocked_since, blocked = time.monotonic(), blocked * 2
            await backoff.pause()
    except MongoUnavailable:
        # A session left behind is ended by the next one that it is in the way of.
        reached = False
        raise
    finally:
        if reached:
            await sessions.leave(session)
