"""Whether a store still has what it has published: one restored from an older backup does not."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from infra.event_store.errors import RESTORE_REMEDY
from infra.event_store.store import EventStore
from infra.messages.event_headers import Delivered, delivered
from infra.messages.events import Recorded
from infra.nats.jetstream import StoredMessage, last_message, message_at, stream_name

MOST_FOREIGN = 100
"""Messages at a stream's end that are no events, and over which its last event is looked for."""


class StoreRestored(Exception):
    """A store is older than what it has published, or another one; the message names the remedy."""

    def __init__(self, context: str, what: str) -> None:
        super().__init__(f"{what}: {RESTORE_REMEDY}")
        self.context = context


async def check_published(nats: Client, store: EventStore, *, as_long: bool = True) -> None:
    """Return if the store is as long as it was, and has the last event of its stream, if there is one.

    `as_long`: whether a store that is only shorter than it was, without a stream, is another one.

    Raises StoreRestored, StoreUnavailable, NatsUnavailable and JetStreamRefused.
    """
    noted, head = store.noted_head(), await store.head()
    if as_long and head < noted:
        raise StoreRestored(
            store.context,
            f"the store of {store.context} had events up to position {noted} and ends at {head}, restored "
            f"from an older backup",
        )
    stream = stream_name(store.context)
    last = await last_message(nats, stream, f"ev.{store.context}.>")
    for _ in range(MOST_FOREIGN):
        if last is None or last.position:
            break
        # No event: the relay tells of it, and passes it over.
        last = await message_at(nats, stream, last.seq - 1) if last.seq > 1 else None
    if last is not None and last.position:
        await check_has(store, last)


async def check_has(store: EventStore, last: StoredMessage) -> None:
    """Return if the store has this event at this position; raises StoreRestored."""
    context, position = store.context, last.position
    found = await store.read_log(position - 1, 1)
    if not found:
        raise StoreRestored(
            context,
            f"the stream {stream_name(context)} has events up to position {position}, but the store of "
            f"{context} ends at {await store.head()}, restored from an older backup",
        )
    message = delivered(context, last.subject, last.headers, last.data, last.seq)
    if not is_same(found[0], message):
        raise StoreRestored(
            context,
            f"the stream {stream_name(context)} and the store of {context} differ at position {position}: "
            f"published was {message.event_id}, stored is {found[0].event_id}, of another history",
        )


def is_same(stored: Recorded, message: Delivered) -> bool:
    """Whether a stored event is the one that was published, not only one in the same place."""
    # The relay has readers continue from the span of its own publication.
    published = msgspec.structs.replace(message.metadata, traceparent=stored.metadata.traceparent)
    return (stored.position, stored.event_id, stored.data, stored.metadata) == (
        message.position,
        message.event_id,
        message.data,
        published,
    )
