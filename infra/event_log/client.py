"""Requests contexts' logs, page by page, and retries while no process answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime

import msgspec
from nats.aio.client import Client

from infra.event_log.messages import (
    PAGE_EVENTS,
    BehindAnswer,
    BehindRequest,
    LogAnswer,
    LogEvent,
    LogRequest,
)
from infra.messages.event_headers import Delivered
from infra.messages.events import Behind
from infra.nats.request_reply import ContextUnavailable, request_with_retry

__all__ = ["ContextUnavailable", "LogClient", "LogPage"]


class LogPage(msgspec.Struct, frozen=True):
    """Part of a context's log: all that was asked for up to position `through`.

    `head` is where the log ended when the question was answered.
    """

    events: list[Delivered]
    through: int
    head: int


class LogClient:
    """Asks contexts for their logs. Every question raises ContextUnavailable after `timeout` seconds."""

    def __init__(self, nats: Client, *, timeout: float = 10.0) -> None:
        self._nats = nats
        self._timeout = timeout

    async def page(
        self,
        context: str,
        after: int,
        *,
        limit: int = PAGE_EVENTS,
        partitions: Collection[int] | None = None,
        stream: str | None = None,
        names: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> LogPage:
        """The events after a position, as many as fit into a page (at most 1000 and 900 kB).

        `prev` of an event is right unless `stream`, `names`, `since` or `until` filter; then it is 0.
        """
        asked = LogRequest(
            after=after,
            limit=limit,
            partitions=None if partitions is None else tuple(sorted(partitions)),
            stream=stream,
            names=None if names is None else tuple(sorted(names)),
            since=since,
            until=until,
        )
        try:
            found = await self._page(context, asked)
        except msgspec.DecodeError:
            # One event whose data is not JSON must not hide the others.
            found = await self._page(context, msgspec.structs.replace(asked, checked=True))
        return LogPage(
            [_delivered(context, event) for event in found.events], found.through, max(found.heads)
        )

    async def read(
        self,
        context: str,
        after: int = 0,
        *,
        partitions: Collection[int] | None = None,
        stream: str | None = None,
        names: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[list[Delivered]]:
        """Pages of events after a position, until the log's end at the time of the call."""
        head: int | None = None
        while head is None or after < head:
            page = await self.page(
                context, after, partitions=partitions, stream=stream, names=names, since=since, until=until
            )
            head = page.head if head is None else head
            after = page.through
            if page.events:
                yield page.events

    async def heads(self, context: str) -> list[int]:
        """Where each partition of a context's log ends: the position of its last event, 0 if it has none."""
        return list((await self._page(context, LogRequest(limit=0))).heads)

    async def all_heads(self, contexts: Iterable[str]) -> dict[str, list[int]]:
        """The heads of several contexts, asked at the same time."""
        names = list(contexts)
        found = await asyncio.gather(*map(self.heads, names))
        return dict(zip(names, found, strict=True))

    async def behind(self, context: str, positions: Sequence[int]) -> list[Behind]:
        """How much lies after each partition's position."""
        data = await self._ask(context, "behind", msgspec.json.encode(BehindRequest(tuple(positions))))
        found = msgspec.json.decode(data, type=BehindAnswer)
        return [Behind(partition.events, partition.oldest) for partition in found.partitions]

    async def _page(self, context: str, asked: LogRequest) -> LogAnswer:
        data = await self._ask(context, "log", msgspec.json.encode(asked))
        return msgspec.json.decode(data, type=LogAnswer)

    async def _ask(self, context: str, what: str, payload: bytes) -> bytes:
        return await request_with_retry(self._nats, context, what, payload, timeout=self._timeout)


def _delivered(context: str, event: LogEvent) -> Delivered:
    return Delivered(
        context,
        event.position,
        event.prev,
        event.partition,
        event.stream,
        event.version,
        event.name,
        bytes(event.data),
        event.metadata,
    )
