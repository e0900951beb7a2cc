"""Which database sessions projectors work in, so that the transaction of a dead one can be ended.

A server keeps the transaction of a client that was killed for a minute; until then nobody else can write to
its documents. Whoever takes over looks up the session here and ends it. If its owner is alive after all, it
loses one transaction and does it again.
"""

from __future__ import annotations

from collections.abc import Collection

from infra.mongo import Mongo, Session, deleting, encode_document, replacing

SESSIONS = "projector_sessions"


class ProjectorSessions:
    """The sessions of the projectors of one collection that have some of these partitions."""

    def __init__(self, mongo: Mongo, collection: str, partitions: Collection[int]) -> None:
        self._mongo = mongo
        self._collection = collection
        self._partitions = list(partitions)

    async def enter(self, session: Session) -> None:
        """Make a session known, before its first transaction."""
        key = session.id.hex()
        fields = {"collection": self._collection, "partitions": self._partitions}
        await self._mongo.write(SESSIONS, [replacing(key, encode_document(key, fields))])

    async def leave(self, session: Session) -> None:
        """End a session that is needed no more."""
        await session.close()
        await self._mongo.write(SESSIONS, [deleting(session.id.hex())])

    async def end_others(self, session: Session) -> None:
        """End the transactions of all other projectors of these partitions."""
        wanted = {"collection": self._collection, "partitions": {"$in": self._partitions}}
        found = await self._mongo.find(SESSIONS, wanted)
        others = [item["_id"] for item in found if item["_id"] != session.id.hex()]
        await self._mongo.kill_sessions([bytes.fromhex(key) for key in others])
        await self._mongo.write(SESSIONS, [deleting(key) for key in others])
