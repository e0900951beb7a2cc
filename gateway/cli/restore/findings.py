"""Which parts of a restored system are older than which others: stores, streams, inboxes and read models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from nats.aio.client import Client

from contexts.payments.http_provider import HttpProvider
from gateway.cli.restore.history import History, compare
from gateway.cli.restore.losses import Losses, lost_event, lost_orders, lost_payments
from infra.event_store.store import EventStore
from infra.mongo import Mongo, decode_document
from infra.runtime.context import Unavailable
from infra.runtime.inbox import READER
from infra.settings import Settings
from read_models.monitoring.lag import Ahead, Heads, ahead
from read_models.projection import checkpoints
from read_models.projection.versions import versions_of

REHEARD = "fulfilment"
"""Its events are not put back: with them belong commands to send, which the stream does not have. Hearing the
other contexts' facts again gives both anew."""

PAGE = 1_000


class Findings(msgspec.Struct, kw_only=True):
    """What was found, and what would be left of it."""

    histories: dict[str, History]
    put_back: tuple[str, ...]
    """Contexts whose stores get back what only their streams have."""
    given_up: tuple[str, ...]
    """Contexts whose streams are published anew, from the stores as they are."""
    inboxes: list[Ahead]
    models: list[Ahead]
    losses: Losses
    shortened: dict[str, int]
    """Contexts whose stores end before what was noted beside them, and where they had ended."""

    @property
    def whole(self) -> bool:
        """Whether all parts fit together."""
        return not (self.put_back or self.given_up or self.inboxes or self.models or self.shortened)


async def look(
    settings: Settings, nats: Client, mongo: Mongo, stores: Mapping[str, EventStore], *, discard: bool
) -> Findings:
    """Compare everything; `discard`: do not put back what only the streams have.

    Raises StoreUnavailable, NatsUnavailable, JetStreamRefused and MongoUnavailable.
    """
    histories = {context: await compare(nats, store) for context, store in stores.items()}
    behind = [context for context, history in histories.items() if history.behind]
    put_back = tuple(
        context for context in behind if histories[context].continues and not discard and context != REHEARD
    )
    given_up = tuple(context for context in behind if context not in put_back)
    ends = {
        context: await _ends(store, histories[context], restored=context in put_back)
        for context, store in stores.items()
    }
    return Findings(
        histories=histories,
        put_back=put_back,
        given_up=given_up,
        inboxes=await _inboxes_ahead(stores, ends),
        models=await _models_ahead(mongo, ends),
        shortened={
            context: store.noted_head()
            for context, store in stores.items()
            if store.noted_head() > await store.head()
        },
        losses=await _losses(settings, mongo, stores, histories, put_back),
    )


async def _ends(store: EventStore, history: History, *, restored: bool) -> list[int]:
    """Where each partition's history ends that readers may have read, once all is done."""
    if restored:
        ends = list(await store.partition_heads())
        for event in history.only_published:
            ends[event.partition] = event.position
        return ends
    # What the store has beyond is another history than the one that was published.
    return list(await store.partition_heads(upto=history.common if history.behind else None))


async def _inboxes_ahead(stores: Mapping[str, EventStore], ends: Heads) -> list[Ahead]:
    found = []
    for reader, store in stores.items():
        read = {place: item.position for place, item in (await store.checkpoints(READER)).items()}
        found += ahead(reader, read, ends)
    return found


async def _models_ahead(mongo: Mongo, ends: Heads) -> list[Ahead]:
    found = []
    for collection, positions in sorted((await checkpoints.all_positions(mongo)).items()):
        found += ahead(collection, positions, ends)
    return found


async def _losses(
    settings: Settings,
    mongo: Mongo,
    stores: Mapping[str, EventStore],
    histories: Mapping[str, History],
    put_back: tuple[str, ...],
) -> Losses:
    streams = {context: await _streams(store) for context, store in stores.items()}
    for context in put_back:
        streams[context].update(event.stream for event in histories[context].only_published)
    gone = [
        event
        for context, history in histories.items()
        if context not in put_back
        for event in history.only_published
    ]
    losses = Losses(
        events=[lost_event(event) for event in gone],
        orders=lost_orders(streams, gone, await _documents_without(mongo, streams["ordering"])),
    )
    provider = HttpProvider(settings.provider_url, settings.provider_timeout)
    try:
        losses.payments = await lost_payments(provider, streams["payments"])
    except Unavailable as error:
        losses.provider = str(error)
    finally:
        await provider.close()
    return losses


async def _streams(store: EventStore) -> set[str]:
    found: set[str] = set()
    position = 0
    while records := await store.read_log(position, PAGE):
        found.update(record.stream for record in records)
        position = records[-1].position
    return found


async def _documents_without(mongo: Mongo, streams: set[str]) -> dict[str, dict[str, Any]]:
    """The orders that clients can see, and ordering has no stream of."""
    live = (await versions_of(mongo, "orders")).live
    return {
        key: {name: value for name, value in decode_document(data).items() if name != "_id"}
        async for key, data in mongo.find_stored(live, {})
        if f"order-{key}" not in streams
    }
