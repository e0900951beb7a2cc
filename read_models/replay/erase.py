"""Deletes a version of a read model with all that belongs to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from infra.mongo import Mongo, deleting
from read_models.projection.checkpoints import CHECKPOINTS
from read_models.projection.dead_letters import DEAD_LETTERS
from read_models.projection.losses import MARKS
from read_models.projection.sessions import SESSIONS

LEAVE_SECONDS = 8.0
"""How long projectors have to leave a version; those that died will not."""
POLL_SECONDS = 0.1
MOST_AT_ONCE = 1_000


async def erase(mongo: Mongo, collection: str, *, within: float = LEAVE_SECONDS) -> None:
    """Delete its documents, checkpoints and dead letters, when nobody writes them any more.

    Projectors have `within` seconds to leave it; 0 if there are none.
    """
    await _left(mongo, collection, within)
    # The server keeps the transaction of a killed one for a minute, and would not drop what it has written.
    await mongo.kill_sessions([bytes.fromhex(key) for key in await _sessions(mongo, collection)])
    # First of all, so that nobody takes what is deleted for lost.
    await _delete(mongo, MARKS, [collection])
    # Checkpoints last: whoever works on after all finds them unmoved only until everything is gone.
    await mongo.drop(collection)
    while letters := await mongo.find(
        DEAD_LETTERS, {"collection": collection}, limit=MOST_AT_ONCE, without=("data", "metadata")
    ):
        await _delete(mongo, DEAD_LETTERS, [item["_id"] for item in letters])
    of_its_own = {"_id": {"$gt": f"{collection}/", "$lt": f"{collection}0"}}  # "0" follows "/"
    await _delete(mongo, CHECKPOINTS, [item["_id"] for item in await mongo.find(CHECKPOINTS, of_its_own)])
    await _delete(mongo, SESSIONS, await _sessions(mongo, collection))


async def _left(mongo: Mongo, collection: str, within: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while await _sessions(mongo, collection):  # noqa: ASYNC110 - projectors are other processes
                await asyncio.sleep(POLL_SECONDS)


async def _sessions(mongo: Mongo, collection: str) -> list[str]:
    return [item["_id"] for item in await mongo.find(SESSIONS, {"collection": collection})]


async def _delete(mongo: Mongo, collection: str, keys: Sequence[str]) -> None:
    await mongo.write(collection, [deleting(key) for key in keys])
