"""A context's log for whoever must refill, replay, or know how far behind it is: served and announced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from infra.event_message import Delivered
from infra.event_store import EventStore, StoreUnavailable
from infra.log_client import ContextUnavailable, LogClient, LogPage
from infra.log_wire import (
    EVENT_OVERHEAD,
    PAGE_BYTES,
    PAGE_EVENTS,
    BehindAnswer,
    BehindPartition,
    BehindRequest,
    Heads,
    LogAnswer,
    LogEvent,
    LogRefusal,
    LogRequest,
)
from infra.nats import NatsUnavailable, publish, subscribe, unsubscribe
from infra.records import PARTITIONS, Recorded

__all__ = ["ContextUnavailable", "Delivered", "LogClient", "LogPage", "LogService"]

ANNOUNCE_SECONDS = 2.0
"""How often the heads are announced when nothing happens."""
ANNOUNCE_PAUSE = 0.1
"""The least time between two announcements."""
AT_ONCE = 8
"""Questions answered at the same time; others wait in NATS' buffers until their askers give up."""

log = structlog.get_logger()


class LogService:
    """Answers `svc.<context>.log` and `svc.<context>.behind`, and announces `head.<context>`."""

    def __init__(self, nats: Client, store: EventStore) -> None:
        self._nats = nats
        self._store = store
        self._context = store.context
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._committed = asyncio.Event()
        store.on_commit(self._committed.set)

    async def start(self) -> None:
        """Serve from now on; every process of a context may. Raises NatsUnavailable."""
        for name, respond in (("log", self._page), ("behind", self._behind)):
            self._subscriptions.append(
                await subscribe(
                    self._nats,
                    f"svc.{self._context}.{name}",
                    self._serving(respond),
                    queue=f"svc-{self._context}",
                )
            )
        self._spawn(self._announce())

    async def stop(self) -> None:
        """Stop serving; questions under way are dropped, their askers ask again."""
        for subscription in self._subscriptions:
            await unsubscribe(self._nats, subscription)
        self._subscriptions.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _serving(self, respond: Callable[[bytes], Awaitable[bytes]]) -> Callable[[Msg], Awaitable[None]]:
        async def serve(message: Msg) -> None:
            await self._free.acquire()
            self._spawn(self._respond(message, respond))

        return serve

    async def _respond(self, message: Msg, respond: Callable[[bytes], Awaitable[bytes]]) -> None:
        try:
            try:
                reply = await respond(message.data)
            except (msgspec.MsgspecError, ValueError) as error:
                reply = msgspec.json.encode(LogRefusal(str(error), again=False))
            except StoreUnavailable as error:
                reply = msgspec.json.encode(LogRefusal(str(error), again=True))
            except Exception:
                log.exception("a question about the log failed", context=self._context)
                reply = msgspec.json.encode(LogRefusal("internal error", again=True))
            if message.reply:
                await publish(self._nats, message.reply, reply)
        except NatsUnavailable as error:
            log.warning("an answer could not be sent", context=self._context, error=str(error))
        finally:
            self._free.release()

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
                log.debug("heads not announced", context=self._context, error=str(error))
            await asyncio.sleep(ANNOUNCE_PAUSE)
            try:
                async with asyncio.timeout(ANNOUNCE_SECONDS):
                    await self._committed.wait()
            except TimeoutError:
                continue


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
