"""One context's events for one reader: from JetStream while the chain holds, else from its store."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.aio import cancel_all, wait_for_event
from infra.event_log.client import ContextUnavailable, LogClient
from infra.event_log.messages import Heads
from infra.event_store.errors import RESTORE_REMEDY
from infra.messages.event_headers import POSITION, PREVIOUS, Delivered, delivered
from infra.messages.events import PARTITIONS, Checkpoint
from infra.nats.connection import NatsUnavailable, subscribe, unsubscribe
from infra.nats.jetstream import (
    JetStreamRefused,
    StreamInfo,
    ensure_consumer,
    filters,
    message_at,
    reset_consumer,
    sequence_after,
    stream_info,
    stream_name,
)
from infra.nats.pull_consumer import BATCH, Pull, stream_sequence
from infra.retry import Backoff

AHEAD = 2_000
"""Events kept for a reader that is slower than JetStream."""
BROKEN_PAUSE = 0.2
LONGEST_PAUSE = 2.0
TICK_SECONDS = 1.0
BEHIND_TICK_SECONDS = 0.1
ASK_SECONDS = 3.0
"""How long a question to the context may hold up the stream."""
FORGOTTEN_SECONDS = 3_600
"""How long JetStream knows a reader of some partitions that nobody uses."""

log = structlog.get_logger()


class LogDiffers(Exception):
    """A reader's checkpoint does not belong to the log it reads; the message says what to do."""


class _Restart(Exception):
    """Look anew where to go on in the stream."""


class StreamPosition(msgspec.Struct, frozen=True):
    """A message seen in a stream: its sequence, its event's position, the stream's identity."""

    sequence: int = 0
    position: int = 0
    created: str = ""


class Chunk(msgspec.Struct):
    """Events ready for the reader, with their acknowledgements' subjects if they came from JetStream."""

    events: list[Delivered]
    replies: list[str]
    created: str = ""
    epoch: int = 0
    taken: int = 0


class ContextBatch(msgspec.Struct, frozen=True):
    """Some events in order; from JetStream with the place up to which all is seen, and how to acknowledge."""

    events: list[Delivered]
    place: StreamPosition | None
    acknowledgement: tuple[int, str] | None


class ContextSubscription:
    """Follows some partitions of one context's log; what it hands out is in order, gap-free and new."""

    def __init__(
        self,
        nats: Client,
        context: str,
        durable: str,
        checkpoints: Mapping[int, Checkpoint],
        arrived: Callable[[], None],
        *,
        quiet_seconds: float,
    ) -> None:
        """`checkpoints`: one for each partition followed; `arrived` is called when there is more to take."""
        self.failure: Exception | None = None
        self.epoch = 0
        """Counts the consumer's resets: an acknowledgement from before one must not be sent after it."""
        self.gaps = 0
        self.from_store = 0
        self._chunks: deque[Chunk] = deque()
        self._buffered = 0
        self._nats = nats
        self._context = context
        self._stream = stream_name(context)
        self._durable = durable
        self._arrived = arrived
        self._quiet_seconds = quiet_seconds
        self._client = LogClient(nats, timeout=ASK_SECONDS)
        self._positions = {partition: checkpoint.position for partition, checkpoint in checkpoints.items()}
        self._place = _lowest(list(checkpoints.values()))
        self._seen_to = min(max(c.position, c.sequence_position) for c in checkpoints.values())
        self._gap: tuple[str, int] | None = None
        self._heads: Sequence[int] = ()
        self._behind_since: float | None = None
        self._moved = 0.0
        self._wake = asyncio.Event()
        self._compared = False
        self._suspicious = asyncio.Event()

    def take(self, limit: int) -> ContextBatch | None:
        """Up to `limit` events, if there are any; raises what ended the feed when all before it was taken."""
        if not self._chunks:
            if self.failure is not None:
                raise self.failure
            return None
        chunk = self._chunks[0]
        begin = chunk.taken
        chunk.taken = min(len(chunk.events), begin + limit)
        if chunk.taken == len(chunk.events):
            self._chunks.popleft()
        events = chunk.events[begin : chunk.taken]
        self._buffered -= len(events)
        self._wake.set()
        if not chunk.replies:
            return ContextBatch(events, None, None)
        last = events[-1]
        return ContextBatch(
            events,
            StreamPosition(last.sequence, last.position, chunk.created),
            (chunk.epoch, chunk.replies[chunk.taken - 1]),
        )

    @property
    def oldest(self) -> datetime | None:
        """When the next event to take happened; None while there is none."""
        if not self._chunks:
            return None
        chunk = self._chunks[0]
        return chunk.events[chunk.taken].metadata.time

    async def run(self) -> None:
        """Follow the log until cancelled; what ends it otherwise is in `failure`."""
        checking: asyncio.Task[None] | None = None
        try:
            heads = await subscribe(self._nats, f"head.{self._context}", self._hear_heads)
            checking = asyncio.create_task(self._check_store())
            try:
                await self._run()
            finally:
                await unsubscribe(self._nats, heads)
        except Exception as error:  # noqa: BLE001 - the reader's next() raises it
            self._fail(error)
        finally:
            await cancel_all(checking)

    async def _run(self) -> None:
        backoff = Backoff(BROKEN_PAUSE, LONGEST_PAUSE)
        while self.failure is None:
            moved, pause = self._moved, 0.0
            try:
                await self._follow()
            except _Restart as reason:
                log.debug("subscription restarts", stream=self._stream, reason=str(reason))
                if self._moved > moved:
                    backoff.reset()
                else:
                    pause = BROKEN_PAUSE
            except (NatsUnavailable, JetStreamRefused) as error:
                if self._moved > moved:
                    backoff.reset()
                report = log.warning if backoff.fresh else log.debug
                report("subscription waits", stream=self._stream, reader=self._durable, error=str(error))
                pause = backoff.take()
            await asyncio.sleep(pause)
            try:
                await self._catch_up()
            except NatsUnavailable as error:
                log.debug("store not reachable", context=self._context, error=str(error))

    async def _follow(self) -> None:
        """Read the stream from where this feed stands; raises _Restart when it must look anew."""
        info = await stream_info(self._nats, self._stream)
        if info is None:
            raise _Restart("there is no stream yet")
        pull = Pull(self._nats, self._stream, self._durable, self._wake.set)
        sequence = await self._start_sequence(info)
        await ensure_consumer(
            self._nats,
            self._stream,
            self._durable,
            filters(self._context, self._positions),
            # Readers that share partitions have others whenever one comes or goes.
            forgotten_seconds=0 if len(self._positions) == PARTITIONS else FORGOTTEN_SECONDS,
        )
        await reset_consumer(self._nats, self._stream, self._durable, sequence)
        self.epoch += 1
        await pull.start()
        try:
            while self.failure is None:
                self._wake.clear()
                if messages := pull.take():
                    await self._take(messages, info.created)
                if reason := pull.check():
                    raise _Restart(reason)
                await pull.ask(AHEAD - self._buffered)
                if await self._catch_up():
                    raise _Restart("the stream lacked events")
                await wait_for_event(
                    self._wake, TICK_SECONDS if self._behind_since is None else BEHIND_TICK_SECONDS
                )
        finally:
            await pull.stop()

    async def _start_sequence(self, info: StreamInfo) -> int:
        """Where to go on: after the message last seen if it is still there, else found by its position."""
        place = self._place
        if place.sequence and place.created == info.created and place.sequence <= info.state.last_seq:
            message = await message_at(self._nats, self._stream, place.sequence)
            if message is not None and message.position == place.position:
                return place.sequence + 1
        return await sequence_after(self._nats, self._context, info, self._seen_to)

    async def _take(self, messages: Sequence[Msg], created: str) -> None:
        """Hand on the messages whose chain holds; what a gap lacks comes from the store."""
        self._moved = asyncio.get_running_loop().time()
        index = 0
        while index < len(messages):
            index += self._accept(messages[index:], created)
            if index < len(messages):
                await self._bridge(messages[index], created)

    def _accept(self, messages: Sequence[Msg], created: str) -> int:
        """Take messages as long as the chain holds; the number of those before a gap."""
        chunk = Chunk([], [], created, self.epoch)
        accepted = 0
        for message in messages:
            try:
                if not self._follows(message, chunk):
                    break
            except (KeyError, ValueError) as error:
                log.warning("not an event", stream=self._stream, subject=message.subject, error=repr(error))
            accepted += 1
        if accepted:
            self._move_place(messages[accepted - 1], created)
        self._hand_out(chunk)
        return accepted

    def _follows(self, message: Msg, chunk: Chunk) -> bool:
        """Whether a message is its partition's next (the chunk gets it) or known; else there is a gap."""
        headers = message.headers or {}
        position = int(headers[POSITION])
        partition = int(message.subject.split(".", 3)[2])
        known = self._positions[partition]
        if position <= known:
            return True
        if int(headers[PREVIOUS]) != known:
            return False
        chunk.events.append(
            delivered(self._context, message.subject, headers, message.data, stream_sequence(message.reply))
        )
        chunk.replies.append(message.reply)
        self._positions[partition] = position
        return True

    def _move_place(self, message: Msg, created: str) -> None:
        written = (message.headers or {}).get(POSITION, "")
        position = int(written) if written.isdecimal() else 0
        # A redelivered message is older than what was seen already.
        if created != self._place.created or position > self._place.position:
            self._place = StreamPosition(stream_sequence(message.reply), position, created)
            self._seen_to = position

    async def _bridge(self, message: Msg, created: str) -> None:
        """Get over the gap before a message: first by reading the stream again, then from the store."""
        where = (created, stream_sequence(message.reply))
        if where != self._gap:
            self._gap = where
            self.gaps += 1
            raise _Restart("there is a gap")
        partition = int(message.subject.split(".", 3)[2])
        headers = message.headers or {}
        log.warning(
            "events missing in the stream", stream=self._stream, partition=partition, before=headers[POSITION]
        )
        await self._fill(partition, int(headers[PREVIOUS]))
        if self._positions[partition] < int(headers[POSITION]) and self._positions[partition] != int(
            headers[PREVIOUS]
        ):
            raise LogDiffers(self._difference(partition))

    async def _catch_up(self) -> bool:
        """Take from the store what was announced and does not come; whether there was something."""
        behind = [p for p, position in self._positions.items() if self._heads and self._heads[p] > position]
        now = asyncio.get_running_loop().time()
        # With little room nothing was asked for.
        if not behind or self._buffered > AHEAD - BATCH:
            self._behind_since = None
            return False
        if self._behind_since is None:
            self._behind_since = now
        if now - max(self._behind_since, self._moved) < self._quiet_seconds:
            return False
        log.warning(
            "announced events not received", stream=self._stream, reader=self._durable, partitions=behind
        )
        try:
            for partition in behind:
                await self._fill(partition, self._heads[partition])
        finally:
            self._behind_since = None
        return True

    async def _fill(self, partition: int, target: int) -> None:
        """Take a partition's events from the store up to a position."""
        while self._positions[partition] < target:
            while self._buffered >= AHEAD:
                self._wake.clear()
                await wait_for_event(self._wake, TICK_SECONDS)
            position = self._positions[partition]
            try:
                page = await self._client.page(self._context, position, partitions=[partition])
            except ContextUnavailable as error:
                raise NatsUnavailable(str(error)) from error
            events = [event for event in page.events if event.position <= target]
            for event in events:
                if event.prev != self._positions[partition]:
                    raise LogDiffers(self._difference(partition))
                self._positions[partition] = event.position
            if not events:
                raise LogDiffers(self._difference(partition))
            self.from_store += len(events)
            self._hand_out(Chunk(events, []))

    async def _check_store(self) -> None:
        """Compare with the store's heads at the start, and whenever an announcement is behind this reader."""
        while True:
            positions = dict(self._positions)
            try:
                heads = await self._client.heads(self._context)
            except ContextUnavailable as error:
                log.debug("store not compared yet", context=self._context, error=str(error))
            else:
                self._compared = True
                self._heads = heads
                self._compare(positions)
            self._suspicious.clear()
            await self._suspicious.wait()

    def _compare(self, positions: Mapping[int, int]) -> None:
        for partition, position in positions.items():
            if position > self._heads[partition]:
                self._fail(LogDiffers(self._difference(partition)))
        self._wake.set()

    def _difference(self, partition: int) -> str:
        return (
            f"{self._durable} has read {self._context} up to position {self._positions[partition]} in "
            f"partition {partition}, which its store does not have: the store was restored from an older "
            f"backup: {RESTORE_REMEDY}"
        )

    async def _hear_heads(self, message: Msg) -> None:
        self._heads = msgspec.json.decode(message.data, type=Heads).heads
        if any(self._heads[partition] > position for partition, position in self._positions.items()):
            self._wake.set()
        # Either announced before what was read meanwhile, or the store was restored: the store must be asked.
        if not self._compared or any(self._heads[p] < position for p, position in self._positions.items()):
            self._suspicious.set()

    def _hand_out(self, chunk: Chunk) -> None:
        if chunk.events:
            self._chunks.append(chunk)
            self._buffered += len(chunk.events)
            self._arrived()

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self._arrived()
        self._wake.set()


def _lowest(checkpoints: Collection[Checkpoint]) -> StreamPosition:
    """The place after which no partition misses anything; a stream's first if they do not agree on one."""
    if len({checkpoint.created for checkpoint in checkpoints}) != 1:
        return StreamPosition()
    lowest = min(checkpoints, key=lambda checkpoint: checkpoint.sequence)
    return StreamPosition(lowest.sequence, lowest.sequence_position, lowest.created)
