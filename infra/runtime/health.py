"""What a process's monitor tells of a context it runs: its store, and its relay where it leads."""

from __future__ import annotations

from collections.abc import Sized
from datetime import UTC, datetime

from nats.aio.client import Client

from infra.event_log.relay import Relay
from infra.event_store.store import EventStore, StoreUnavailable
from infra.nats.connection import NatsUnavailable
from infra.nats.jetstream import JetStreamRefused, stream_info, stream_name
from infra.observability.metrics.gauges import (
    INBOX_DEAD_LETTERS,
    JETSTREAM_BYTES,
    JETSTREAM_MESSAGES,
    LEADING,
    RELAY_CONFLICTS,
    RELAY_HOLES,
    RELAY_LAG_EVENTS,
    RELAY_OLDEST_SECONDS,
    RELAY_POSITION,
    RELAY_PUBLISHED,
    RELAY_REFILLS,
    RELAY_UNFIT,
    STORE_HEAD,
    Sample,
)


class StreamUnfit(Exception):
    """The context's stream is not as it should be; the message names the command that mends it."""


class ContextCollector:
    """Looks at one context; only the process that leads it tells of its relay."""

    def __init__(self, context: str, jetstream: Client) -> None:
        self._context = context
        self._labels = (context,)
        self._nats = jetstream
        self._store: EventStore | None = None
        self._relay: Relay | None = None
        self._parked: Sized = ()

    def serves(self, store: EventStore) -> None:
        """Its commands are served, from this store."""
        self._store = store

    def leads(self, relay: Relay, parked: Sized) -> None:
        """This process leads it; `parked` are the facts its inbox could not take."""
        self._relay = relay
        self._parked = parked

    async def check(self) -> None:
        """Raises StoreUnavailable unless its commands are served and its store answers, and StreamUnfit."""
        if self._store is None:
            raise StoreUnavailable(f"{self._context} does not serve yet")
        await self._store.head()
        if self._relay is not None and self._relay.complaint:
            raise StreamUnfit(self._relay.complaint)

    async def look(self) -> list[Sample]:
        """Everything that can be found out; where the store does not answer, what is known without it."""
        relay = self._relay
        found = [Sample(LEADING, self._labels, float(relay is not None))]
        if relay is not None:
            found += self._of_relay(relay)
            found.append(Sample(INBOX_DEAD_LETTERS, self._labels, float(len(self._parked))))
            found += await self._of_stream()
        try:
            found += await self._of_store(relay)
        except StoreUnavailable:
            return found
        return found

    def _of_relay(self, relay: Relay) -> list[Sample]:
        return [
            Sample(figure, self._labels, float(value))
            for figure, value in (
                (RELAY_POSITION, relay.position),
                (RELAY_PUBLISHED, relay.published),
                (RELAY_REFILLS, relay.refills),
                (RELAY_CONFLICTS, relay.conflicts),
                (RELAY_HOLES, relay.holes),
                (RELAY_UNFIT, bool(relay.complaint)),
            )
        ]

    async def _of_stream(self) -> list[Sample]:
        stream = stream_name(self._context)
        try:
            info = await stream_info(self._nats, stream)
        except (NatsUnavailable, JetStreamRefused):
            return []
        if info is None:
            return []
        return [
            Sample(JETSTREAM_MESSAGES, (stream,), float(info.state.messages)),
            Sample(JETSTREAM_BYTES, (stream,), float(info.state.bytes)),
        ]

    async def _of_store(self, relay: Relay | None) -> list[Sample]:
        store = self._store
        if store is None:
            return []
        head = await store.head()
        found = [Sample(STORE_HEAD, self._labels, float(head))]
        if relay is not None:
            found.append(Sample(RELAY_LAG_EVENTS, self._labels, float(max(0, head - relay.position))))
            oldest = await _age(store, relay.position) if head > relay.position else 0.0
            found.append(Sample(RELAY_OLDEST_SECONDS, self._labels, oldest))
        return found


async def _age(store: EventStore, position: int) -> float:
    """How old the first event after a position is."""
    events = await store.read_log(position, 1)
    return max(0.0, (datetime.now(UTC) - events[0].metadata.time).total_seconds()) if events else 0.0
