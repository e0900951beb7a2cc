"""Changing documents that projectors keep up to date, without being in each other's way."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

from infra.mongo import Mongo, Transaction, TransactionConflict
from infra.records import Checkpoint
from read_models import checkpoints
from read_models.checkpoints import CheckpointMoved, Place
from read_models.projector_sessions import ProjectorSessions
from read_models.replay.failure import ReplayFailed

PATIENCE_SECONDS = 30.0
"""How long to try to get a word in between the projectors' transactions."""
BLOCKED_SECONDS = 1.0
"""How long to be in somebody's way before ending the transactions that are open there.

One may be a killed command's, kept by the server for a minute; a projector at work loses one and repeats it.
"""
FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.5

T = TypeVar("T")


async def intervene(
    mongo: Mongo,
    collection: str,
    places: Collection[Place],
    work: Callable[[Transaction, Mapping[Place, Checkpoint]], Awaitable[T]],
) -> T:
    """Do work in one transaction in which no projector writes to the documents of these places.

    `work` is given where the checkpoints stand, and may be called several times: what it wrote the last time
    counts. Whoever projects these places goes on from there. Raises ReplayFailed if there was no chance, and
    MongoUnavailable.
    """
    # Known as a projector's is, the session of a command killed at work holds nobody up for long.
    sessions = ProjectorSessions(mongo, collection, sorted({partition for _, partition in places}))
    session = await mongo.open_session()
    waited_since = time.monotonic()
    deadline = waited_since + PATIENCE_SECONDS
    pause = FIRST_PAUSE
    try:
        while True:
            await sessions.enter(session)
            try:
                async with session.transaction() as transaction:
                    known = await checkpoints.interrupt(transaction, collection, places)
                    result = await work(transaction, known)
            except (TransactionConflict, CheckpointMoved) as error:
                if time.monotonic() > deadline:
                    raise ReplayFailed(
                        f"{collection} was written to all the time for {PATIENCE_SECONDS:g} s; "
                        "nothing was changed by the last step, try again"
                    ) from error
                if time.monotonic() - waited_since > BLOCKED_SECONDS:
                    await sessions.end_others(session)
                    waited_since = time.monotonic()
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return result
    finally:
        await sessions.leave(session)
