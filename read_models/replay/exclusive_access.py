"""Changing documents that projectors keep up to date, without being in each other's way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

from infra.messages.events import Checkpoint, CheckpointMoved
from infra.mongo import Mongo, Transaction, TransactionConflict
from read_models.projection import checkpoints
from read_models.projection.checkpoints import Place
from read_models.projection.sessions import ProjectorSessions
from read_models.projection.transactions import RETRY_SECONDS, retry_transaction
from read_models.replay.errors import ReplayFailed

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

    async def interrupted(transaction: Transaction) -> T:
        return await work(transaction, await checkpoints.interrupt(transaction, collection, places))

    try:
        return await retry_transaction(mongo, sessions, interrupted)
    except (TransactionConflict, CheckpointMoved) as error:
        raise ReplayFailed(
            f"{collection} was written to all the time for {RETRY_SECONDS:g} s; "
            "nothing was changed by the last step, try again"
        ) from error
