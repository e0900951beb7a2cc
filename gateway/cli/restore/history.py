"""A context's store beside its stream: how far they tell the same, and what only the stream has."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from nats.aio.client import Client

from infra.event_log.published import is_same
from infra.event_store.store import EventStore
from infra.messages.event_headers import Delivered, delivered
from infra.messages.events import Recorded
from infra.nats.jetstream import StoredMessage, message_from, stream_info, stream_name


class History(msgspec.Struct, kw_only=True):
    """`common` is the last position up to which both tell the same; positions are the store's."""

    context: str
    head: int
    published: int | None
    """Where the stream ends; None if there is none, or it is empty."""
    common: int
    only_published: list[Delivered] = []
    """What the stream has after `common`, in order."""
    unread: int = 0
    """Messages there that are no events."""
    continues: bool = False
    """Whether the store ends at `common`, and what only the stream has goes on from there without a gap."""

    @property
    def behind(self) -> bool:
        """Whether the store lacks something that was published."""
        return bool(self.only_published or self.unread)


async def compare(nats: Client, store: EventStore) -> History:
    """Read both; raises StoreUnavailable, NatsUnavailable and JetStreamRefused."""
    context, head = store.context, await store.head()
    info = await stream_info(nats, stream_name(context))
    if info is None or info.state.last_seq == 0:
        return History(context=context, head=head, published=None, common=head)
    low, high = 0, info.state.last_seq + 1
    common = 0
    # The history is the same up to some message and another one after it: found by halving.
    while high - low > 1:
        middle = (low + high) // 2
        message = await message_from(nats, stream_name(context), middle, f"ev.{context}.>")
        if message is None:
            high = middle
        elif await _has(store, message):
            low, common = message.seq, max(common, message.position)
        else:
            high = middle
    return await _read_rest(nats, store, head, low, common)


async def _read_rest(nats: Client, store: EventStore, head: int, after: int, common: int) -> History:
    context = store.context
    found: list[Delivered] = []
    unread, published = 0, common
    sequence = after + 1
    holes = False
    while message := await message_from(nats, stream_name(context), sequence, f"ev.{context}.>"):
        # Of an event that is missing here no other one need tell: its partition's next may not be there yet.
        holes = holes or message.seq != sequence
        sequence = message.seq + 1
        try:
            found.append(_event(context, message))
            published = found[-1].position
        except (KeyError, ValueError):
            unread += 1
    return History(
        context=context,
        head=head,
        published=published or None,
        common=common,
        only_published=found,
        unread=unread,
        continues=head == common and not unread and not holes and await _continues(store, found),
    )


async def _has(store: EventStore, message: StoredMessage) -> bool:
    try:
        event = _event(store.context, message)
    except (KeyError, ValueError):
        return False
    stored = await store.read_log(event.position - 1, 1)
    return bool(stored) and is_same(stored[0], event)


def _event(context: str, message: StoredMessage) -> Delivered:
    return delivered(context, message.subject, message.headers, message.data, message.seq)


async def _continues(store: EventStore, events: Sequence[Delivered]) -> bool:
    """Whether the events go on where the store ends: in each partition, and in each stream."""
    heads = list(await store.partition_heads())
    versions: dict[str, int] = {}
    for event in events:
        if event.stream not in versions:
            stored = await store.load(event.stream)
            versions[event.stream] = stored[-1].version if stored else 0
        if event.prev != heads[event.partition] or event.version != versions[event.stream] + 1:
            return False
        heads[event.partition] = event.position
        versions[event.stream] = event.version
    return True


def as_recorded(event: Delivered) -> Recorded:
    """An event as its store had it."""
    return Recorded(
        event.position,
        event.stream,
        event.version,
        event.name,
        event.data,
        event.metadata,
        event.partition,
    )
