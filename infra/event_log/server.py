"""A context's log for whoever must refill, replay, or know how far behind it is: served and announced."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog
from nats.aio.client import Client

from infra.aio import cancel_all, wait_for_event
from infra.event_log.client import LogClient, LogPage
from infra.event_log.messages import (
    DAMAGED_BYTES,
    EVENT_OVERHEAD,
    PAGE_BYTES,
    PAGE_EVENTS,
    BehindAnswer,
    BehindPartition,
    BehindRequest,
    Heads,
    LogAnswer,
    LogEvent,
    LogRequest,
)
from infra.event_store.store import EventStore, StoreUnavailable
from infra.messages.event_headers import Delivered
from infra.messages.events import PARTITIONS, Recorded
from infra.nats.connection import NatsUnavailable, publish
from infra.nats.request_reply import ContextUnavailable, RequestServer

__all__ = ["ContextUnavailable", "Delivered", "LogClient", "LogPage", "LogService"]

ANNOUNCE_SECONDS = 2.0
"""How often the heads are announced when nothing happens."""
ANNOUNCE_PAUSE = 0.1
"""The least time between two announcements."""

log = structlog.get_logger()


class LogService:
    """Answers `svc.<context>.log` and `svc.<context>.behind`, and announces `head.<context>`."""

    def __init__(self, nats: Client, store: EventStore) -> None:
        self._nats = nats
        self._store = store
        self._context = store.context
        self._requests = RequestServer(nats, store.context)
        self._announcing: asyncio.Task[None] | None = None
        self._committed = asyncio.Event()
        store.on_commit(self._committed.set)

    async def start(self) -> None:
        """Serve from now on; every process of a context may. Raises NatsUnavailable."""
        await self._requests.serve("log", self._page)
        await self._requests.serve("behind", self._behind)
        self._announcing = asyncio.create_task(self._announce())

    async def stop(self) -> None:
        """Stop serving; questions under way are dropped, their askers ask again."""
        await self._requests.stop()
        await cancel_all(self._announcing)

    async def _page(self, data: bytes) -> bytes:
        asked = msgspec.json.decode(data, type=LogRequest)
        limit = min(asked.limit, PAGE_EVENTS)
        # Heads first: what is appended meanwhile is then beyond them, never wrongly before `through`.
        heads = tuple(await self._store.partition_heads())
        if limit <= 0:
            return msgspec.json.encode(LogAnswer((), asked.after, heads))
        records = await self._store.read_log(
            asked.after,
            limit,
            partitions=asked.partitions,
            stream=asked.stream,
            names=asked.names,
            since=asked.since,
            until=asked.until,
        )
        chained = asked.stream is None and asked.names is None and asked.since is None and asked.until is None
        previous = await self._store.partition_heads(upto=asked.after) if chained and records else None
        events = _fitting(records, previous)
        if asked.checked:
            events = [_decodable(event) for event in events]
        whole = len(records) < limit and len(events) == len(records)
        last = events[-1].position if events else asked.after
        through = max(last, *heads) if whole else last
        return msgspec.json.encode(LogAnswer(tuple(events), through, heads))

    async def _behind(self, data: bytes) -> bytes:
        asked = msgspec.json.decode(data, type=BehindRequest)
        if len(asked.positions) != PARTITIONS:
            raise ValueError(f"{PARTITIONS} positions are needed, not {len(asked.positions)}")
        found = await self._store.behind(asked.positions)
        return msgspec.json.encode(
            BehindAnswer(tuple(BehindPartition(behind.events, behind.oldest) for behind in found))
        )

    async def _announce(self) -> None:
        """Tell the heads now and then and soon after commits: so a reader misses even a lost last event."""
        while True:
            self._committed.clear()
            try:
                heads = Heads(tuple(await self._store.partition_heads()))
                await publish(self._nats, f"head.{self._context}", msgspec.json.encode(heads))
            except (StoreUnavailable, NatsUnavailable) as error:
                log.debug("heads not published", context=self._context, error=str(error))
            await asyncio.sleep(ANNOUNCE_PAUSE)
            await wait_for_event(self._committed, ANNOUNCE_SECONDS)


def _fitting(records: Sequence[Recorded], previous: list[int] | None) -> list[LogEvent]:
    """As many of the records as fit into a page, at least one."""
    events: list[LogEvent] = []
    room = PAGE_BYTES
    for record in records:
        room -= len(record.data) + len(record.name) + len(record.stream) + EVENT_OVERHEAD
        if room < 0 and events:
            break
        prev = 0
        if previous is not None:
            prev, previous[record.partition] = previous[record.partition], record.position
        events.append(
            LogEvent(
                record.position,
                prev,
                record.partition,
                record.stream,
                record.version,
                record.name,
                msgspec.Raw(record.data),
                record.metadata,
            )
        )
    return events


def _decodable(event: LogEvent) -> LogEvent:
    try:
        msgspec.json.decode(event.data, type=msgspec.Raw)
    except msgspec.DecodeError:
        beginning = bytes(event.data)[:DAMAGED_BYTES].decode(errors="replace")
        return msgspec.structs.replace(event, data=msgspec.Raw(msgspec.json.encode(beginning)))
    return event
