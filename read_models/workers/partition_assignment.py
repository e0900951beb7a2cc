"""How projector processes divide the partitions among themselves: evenly, whichever of them are there.

Each makes itself known in MongoDB and says again and again that it is still there; all of them see the same
list, and each takes its part of it. Nothing depends on their agreeing: while two believe to have the same
partition, checkpoints let only one of them get on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Collection, Sequence

import msgspec
import structlog

from infra.aio import cancel_all
from infra.messages.events import PARTITIONS
from infra.mongo import Mongo, MongoUnavailable, TransactionConflict, deleting, encode_document, replacing

MEMBERS = "projector_members"
BEAT_SECONDS = 1.0
"""How often a process says that it is there, and looks who else is."""
GONE_SECONDS = 6.0
"""A process that has said nothing for so long is gone."""

log = structlog.get_logger(__name__)


class Assignment:
    """The partitions that are this process's; `changed` is set when they become others."""

    def __init__(self, partitions: Collection[int] = ()) -> None:
        self.partitions = tuple(partitions)
        self.changed = asyncio.Event()

    def become(self, partitions: Collection[int]) -> None:
        """These are the partitions from now on."""
        if tuple(partitions) != self.partitions:
            self.partitions = tuple(partitions)
            self.changed.set()


class Seen(msgspec.Struct):
    """Another process's last word, and when it was heard, by our own clock."""

    beat: int
    at: float


class GroupMembership:
    """One process among those that share the partitions."""

    def __init__(
        self, mongo: Mongo, *, beat_seconds: float = BEAT_SECONDS, gone_seconds: float = GONE_SECONDS
    ) -> None:
        self.share = Assignment()
        self._mongo = mongo
        self._beat_seconds = beat_seconds
        self._gone_seconds = gone_seconds
        # By age: who comes later takes the last part, and the others' parts change as little as possible.
        self._key = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        self._beat = 0
        self._seen: dict[str, Seen] = {}
        self._before: list[str] = []

    async def run(self) -> None:
        """Say that this process is there and take its share, until cancelled."""
        while True:
            try:
                await self._look()
            except (MongoUnavailable, TransactionConflict) as error:
                # The others will take over what is ours; until then nobody can write anyway.
                log.warning("group membership not renewed", reason=str(error))
            await asyncio.sleep(self._beat_seconds)

    async def leave(self) -> None:
        """Let the others take over at once, not only when they notice."""
        try:
            await self._mongo.write(MEMBERS, [deleting(self._key)])
        except (MongoUnavailable, TransactionConflict) as error:
            log.warning("could not deregister; the lease will expire", reason=str(error))

    async def _look(self) -> None:
        self._beat += 1
        await self._mongo.write(
            MEMBERS, [replacing(self._key, encode_document(self._key, {"beat": self._beat}))]
        )
        found = await self._mongo.find(MEMBERS, {})
        here = self._here({item["_id"]: item["beat"] for item in found})
        # Whoever is new is seen twice before it counts: several that start together are divided among once.
        if here == self._before:
            self._take(here)
        self._before = here
        gone = [key for key in self._seen if key not in here]
        if gone:
            await self._mongo.write(MEMBERS, [deleting(key) for key in gone])

    def _here(self, beats: dict[str, int]) -> list[str]:
        """Who is there, by age."""
        now = time.monotonic()
        self._seen = {key: self._heard(key, beat, now) for key, beat in beats.items()}
        return sorted(
            key for key, seen in self._seen.items() if key == self._key or now - seen.at < self._gone_seconds
        )

    def _heard(self, key: str, beat: int, now: float) -> Seen:
        known = self._seen.get(key)
        return known if known is not None and known.beat == beat else Seen(beat, now)

    def _take(self, here: Sequence[str]) -> None:
        mine = part(here.index(self._key), len(here))
        if mine != self.share.partitions:
            log.info("partitions assigned", processes=len(here), partitions=list(mine))
        self.share.become(mine)


def part(index: int, parts: int) -> tuple[int, ...]:
    """The partitions of one process of several; none for those there is nothing left for."""
    return tuple(range(index * PARTITIONS // parts, (index + 1) * PARTITIONS // parts))


@contextlib.asynccontextmanager
async def shared(mongo: Mongo) -> AsyncIterator[Assignment]:
    """This process's share of the partitions, which changes as others come and go."""
    membership = GroupMembership(mongo)
    running = asyncio.create_task(membership.run(), name="membership")
    try:
        yield membership.share
    finally:
        await cancel_all(running)
        await membership.leave()
