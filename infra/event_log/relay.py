"""The relay: carries a context's log from its store to JetStream, in order; refills what JetStream loses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from nats.aio.client import Client
from nats.nuid import NUID

from infra.aio import wait_for_event
from infra.event_log.published import StoreRestored, check_has
from infra.event_log.relay_control import RelayControl
from infra.event_store.store import EventStore, StoreUnavailable
from infra.messages.event_headers import EVENT_ID, headers_of, subject_of
from infra.messages.events import Recorded
from infra.nats.connection import NatsUnavailable, publish, request
from infra.nats.jetstream import (
    WRONG_LAST_SEQUENCE,
    JetStreamRefused,
    PubAck,
    StoredMessage,
    StreamInfo,
    answer,
    deviations,
    ensure_stream,
    event_stream,
    last_message,
    message_at,
    stream_info,
    stream_name,
)
from infra.observability import tracing
from infra.retry import Backoff

BATCH = 500
"""Events of one atomic batch; JetStream takes 1000 at most."""
BATCH_BYTES = 4_000_000
PIPELINED = 8
"""Fewer events than this are published one by one, without waiting in between."""
TICK_SECONDS = 1.0
"""How often the store is asked without a wake-up, and the connection is looked at."""
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
HEADER_BYTES = 4_096
"""Room for the headers beside an event in a message of the largest size."""

MOST_FOREIGN = 1_000
"""Messages that are no events, up to which the last event is looked for before them."""

log = structlog.get_logger()


class RelayStopped(Exception):
    """The relay cannot go on without an operator; the message says what was found and what to do."""


class _Misplaced(Exception):
    """The stream is not where it was left: somebody else wrote, or something was lost."""


class _Unusable(Exception):
    """The stream cannot be gone on with; `complaint` says why."""


class Relay:
    """Publishes one context's log. Any number may run at once: each write is fenced by the stream's end."""

    def __init__(
        self, nats: Client, store: EventStore, *, audit_seconds: float = 30.0, stream_replicas: int = 1
    ) -> None:
        self.position = 0
        """Everything up to this position of the store is in the stream."""
        self.published = 0
        self._backoff = Backoff(SHORTEST_PAUSE, LONGEST_PAUSE)
        """Events this relay knows it has published."""
        self.refills = 0
        """How often the stream was found shorter than it had been."""
        self.conflicts = 0
        """How often another relay had written in between."""
        self.holes = 0
        """Messages missing inside the stream; readers take them from the store."""
        self.complaint = ""
        """What is wrong with the stream, with the command that mends it; empty if nothing is."""
        self._nats = nats
        self._store = store
        self._context = store.context
        self._stream = stream_name(store.context)
        self._audit_seconds = audit_seconds
        self._stream_replicas = stream_replicas
        self._sequence = 0
        self._created = ""
        self._previous: list[int] = []
        self._reconnects = 0
        self._foreign = 0
        self._form_seen = 0.0
        self._committed = asyncio.Event()
        self._nuid = NUID()
        self._control = RelayControl(
            nats, store.context, lambda: (self.position, self.refills, self.complaint), self._committed.set
        )
        store.on_commit(self._committed.set)

    async def run(self) -> None:
        """Publish until cancelled; raises RelayStopped and StoreRestored."""
        try:
            await self._run()
        finally:
            await self._control.stop()

    async def _run(self) -> None:
        while True:
            try:
                await self._control.start()
                await self._locate()
                await self._follow()
            except _Misplaced as found:
                log.info("relay reads the end of the stream", context=self._context, reason=str(found))
            except (NatsUnavailable, JetStreamRefused, StoreUnavailable, _Unusable) as error:
                report = log.warning if self._backoff.fresh else log.debug
                report("relay waits", context=self._context, error=str(error))
                if isinstance(error, JetStreamRefused):
                    self._complain(
                        f"JetStream refuses the events of {self._context} ({error}): if another stream has "
                        f"their subjects, delete that one; `orderfold replay publish {self._context} --anew` "
                        f"makes {self._stream} anew"
                    )
            await self._backoff.pause()

    async def _locate(self) -> None:
        """Read from the stream itself where it ends: it may have been lost, or written by another relay."""
        self._reconnects = self._nats.stats["reconnects"]
        info = await ensure_stream(self._nats, self._context, self._stream_replicas)
        last = await self._last_event(info)
        self._look_at_form(info)
        position = last.position if last is not None else 0
        if last is not None:
            await check_has(self._store, last)
        if position < self.position:
            self.refills += 1
            log.error(
                "JetStream lost events; refilling from the store",
                context=self._context,
                stream_position=position,
                published_position=self.position,
            )
        self._previous = await self._store.partition_heads(upto=position)
        self._sequence = max(info.state.last_seq, last.seq if last is not None else 0)
        self._created = info.created
        self.position = position
        self._count_holes(info)

    async def _last_event(self, info: StreamInfo) -> StoredMessage | None:
        """The stream's last event; what else was published after it stays, and readers pass it over."""
        last = await last_message(self._nats, self._stream, f"ev.{self._context}.>")
        if info.created != self._created:
            self._foreign = 0
        foreign = 0
        while last is not None and not last.position:
            foreign += 1
            sequence = last.seq - 1
            last = None
            while sequence >= max(1, info.state.first_seq) and last is None:
                if foreign > MOST_FOREIGN:
                    self._foreign = foreign
                    self._look_at_form(info)
                    raise _Unusable(self.complaint)
                last = await message_at(self._nats, self._stream, sequence)
                sequence -= 1
        self._foreign = max(self._foreign, foreign)
        return last

    def _look_at_form(self, info: StreamInfo) -> None:
        """Complain of a stream of another form: it may lose events, or not take them."""
        self._form_seen = asyncio.get_running_loop().time()
        wrong = deviations(info.config, event_stream(self._context, self._stream_replicas))
        if self._foreign:
            wrong.append("it has messages that are no events")
        anew = f"`orderfold replay publish {self._context} --anew` makes it anew"
        self._complain(f"{self._stream} is not as it should be: {'; '.join(wrong)}. {anew}" if wrong else "")

    def _complain(self, complaint: str) -> None:
        if complaint and complaint != self.complaint:
            log.error("stream configuration differs", context=self._context, complaint=complaint)
        self.complaint = complaint

    async def _follow(self) -> None:
        """Publish what comes, as long as the stream is where it was left."""
        loop = asyncio.get_running_loop()
        audited = loop.time()
        while True:
            self._committed.clear()
            if loop.time() - self._form_seen >= self._audit_seconds:
                # Also under traffic, when there is no need of an audit.
                await self._check_form()
            if self._control.asked_to_look:
                self._control.asked_to_look = False
                await self._audit()
                audited = loop.time()
            if not self._control.paused:
                events = await self._store.read_log(self.position, self._control.at_once(BATCH))
                if events:
                    await self._publish(events)
                    await self._control.pace(len(events))
                    audited = loop.time()
                    continue
                self._control.caught_up()
            if not await wait_for_event(self._committed, min(TICK_SECONDS, self._audit_seconds)):
                await self._check_store()
            reconnected = self._nats.stats["reconnects"] != self._reconnects
            if reconnected or loop.time() - audited >= self._audit_seconds:
                await self._audit()
                audited = loop.time()

    async def _check_store(self) -> None:
        """Nobody tells when a store is exchanged for an older one; raises StoreRestored."""
        head = await self._store.head()
        if head < self.position:
            raise StoreRestored(
                self._context,
                f"the store of {self._context} was published up to position {self.position} and ends at "
                f"{head}, restored from an older backup",
            )

    async def _audit(self) -> None:
        """Compare the stream with what was published to it; nobody tells when JetStream loses something."""
        self._reconnects = self._nats.stats["reconnects"]
        info = await stream_info(self._nats, self._stream)
        if info is None or info.created != self._created or info.state.last_seq != self._sequence:
            raise _Misplaced("the stream changed while idle")
        self._look_at_form(info)
        self._count_holes(info)

    async def _check_form(self) -> None:
        info = await stream_info(self._nats, self._stream)
        if info is None or info.created != self._created:
            raise _Misplaced("the stream is another one")
        self._look_at_form(info)

    def _count_holes(self, info: StreamInfo) -> None:
        # A stream's sequences begin at 1 and nothing is ever taken from it.
        holes = info.state.last_seq - info.state.messages
        if holes != self.holes and holes:
            log.error("messages are missing inside the stream", stream=self._stream, missing=holes)
        self.holes = holes

    async def _publish(self, events: Sequence[Recorded]) -> None:
        for part in _parts(events):
            self._check_sizes(part)
            headers = self._headers(part)
            with tracing.publishing(self._context, part, headers):
                if len(part) < PIPELINED:
                    await self._publish_singly(part, headers)
                else:
                    await self._publish_batch(part, headers)
            for event in part:
                self._previous[event.partition] = event.position
            self._sequence += len(part)
            self.position = part[-1].position

    def _headers(self, events: Sequence[Recorded]) -> list[dict[str, str]]:
        previous = list(self._previous)
        headers = []
        for event in events:
            headers.append(headers_of(event, previous[event.partition]))
            previous[event.partition] = event.position
        return headers

    def _check_sizes(self, events: Sequence[Recorded]) -> None:
        largest = self._nats.max_payload - HEADER_BYTES
        for event in events:
            if len(event.data) > largest:
                raise RelayStopped(
                    f"event {event.event_id} of {self._context} has {len(event.data)} bytes, "
                    f"NATS takes {largest}: raise max_payload in the server's configuration"
                )

    async def _publish_singly(self, events: Sequence[Recorded], headers: Sequence[dict[str, str]]) -> None:
        """Without waiting in between: if one fails, the fence makes all after it fail."""
        answers = await asyncio.gather(
            *(
                self._send(event, {**fields, "Nats-Expected-Last-Sequence": str(self._sequence + index)})
                for index, (event, fields) in enumerate(zip(events, headers, strict=True))
            ),
            return_exceptions=True,
        )
        await self._look_for_foreign(events, answers)
        for index, outcome in enumerate(answers, start=1):
            if isinstance(outcome, BaseException):
                raise outcome
            self._check(outcome, self._sequence + index)
            self.published += 1
            self._backoff.reset()

    async def _look_for_foreign(
        self, events: Sequence[Recorded], answers: Sequence[int | BaseException]
    ) -> None:
        """Where one was fenced off and a later one was not, what is between them ought to be our events.

        Another relay's are; other messages stand in the place of events, which readers take from the store.
        """
        for index, outcome in enumerate(answers[1:], start=1):
            if isinstance(outcome, int) and isinstance(answers[index - 1], BaseException):
                before = await message_at(self._nats, self._stream, outcome - 1)
                if before is None or before.headers.get(EVENT_ID) != events[index - 1].event_id:
                    self._foreign += 1

    async def _publish_batch(self, events: Sequence[Recorded], headers: Sequence[dict[str, str]]) -> None:
        """All of them or none."""
        batch = self._nuid.next().decode()
        for index, (event, fields) in enumerate(zip(events[:-1], headers[:-1], strict=True), start=1):
            fields["Nats-Batch-Id"] = batch
            fields["Nats-Batch-Sequence"] = str(index)
            if index == 1:
                fields["Nats-Expected-Last-Sequence"] = str(self._sequence)
            await publish(self._nats, subject_of(self._context, event), event.data, headers=fields)
        commit = {
            **headers[-1],
            "Nats-Batch-Id": batch,
            "Nats-Batch-Sequence": str(len(events)),
            "Nats-Batch-Commit": "1",
        }
        self._check(await self._send(events[-1], commit), self._sequence + len(events))
        self.published += len(events)
        self._backoff.reset()

    async def _send(self, event: Recorded, headers: dict[str, str]) -> int:
        subject = subject_of(self._context, event)
        reply = await request(self._nats, subject, event.data, headers=headers)
        try:
            return answer(subject, reply.data, PubAck).seq
        except JetStreamRefused as refused:
            if refused.err_code == WRONG_LAST_SEQUENCE:
                self.conflicts += 1
                raise _Misplaced(str(refused)) from refused
            raise

    def _check(self, sequence: int, expected: int) -> None:
        if sequence != expected:
            raise _Misplaced(f"published at {sequence}, expected at {expected}")


def _parts(events: Sequence[Recorded]) -> list[Sequence[Recorded]]:
    """Cut where a batch would become too large."""
    parts: list[Sequence[Recorded]] = []
    begin = size = 0
    for index, event in enumerate(events):
        if index > begin and size + len(event.data) > BATCH_BYTES:
            parts.append(events[begin:index])
            begin, size = index, 0
        size += len(event.data)
    parts.append(events[begin:])
    return parts
