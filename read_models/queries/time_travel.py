"""Documents as they were: a read model's document folded from its events up to a moment, and no further."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic

import msgspec

from contexts import NAMES as CONTEXTS
from infra.event_log.client import LogClient
from infra.messages.commands import Token, TokenInvalid
from infra.messages.event_headers import Delivered
from infra.messages.events import key_of, partition_of
from infra.messages.timestamps import instant
from infra.mongo import Access
from read_models.orders import ORDERS
from read_models.projection.dead_letter_audit import skipped_events
from read_models.projection.documents import ReadModels
from read_models.projection.folding import Parked, fold, sort
from read_models.projection.model import D, ReadModel

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "catalog": ("product",),
    "customers": ("customer",),
    "inventory": ("reservation", "stock"),
    "ordering": ("order",),
    "payments": ("payment",),
    "shipping": ("shipment",),
    "fulfilment": ("fulfilment",),
}
"""A context's streams of one key; a context that is not here is searched for them, which takes longer."""


class MomentInvalid(ValueError):
    """Text that names no moment, or one that has not been."""


class Moment(msgspec.Struct, frozen=True):
    """A point in the past: contexts with a position up to it, all others up to a time."""

    time: datetime
    positions: Mapping[str, int] = {}

    def includes(self, event: Delivered) -> bool:
        """Whether the event had happened."""
        position = self.positions.get(event.context)
        return event.metadata.time <= self.time if position is None else event.position <= position


class Past(msgspec.Struct, Generic[D], frozen=True):
    """A document as it was, None if there was none; `parked` could not be applied, nor what came after."""

    document: D | None
    parked: Parked | None = None


def parse_time(text: str) -> datetime:
    """A time with its offset, not later than now; raises MomentInvalid."""
    try:
        time = instant(text.strip())
    except ValueError as error:
        raise MomentInvalid(f"{text[:80]!r}: {error}") from None
    if time > datetime.now(UTC):
        raise MomentInvalid(f"{text!r} is in the future")
    return time


async def moment_of(log: LogClient, text: str) -> Moment:
    """A time, or positions such as `ordering:42` or `ordering:42,payments:17`; raises MomentInvalid.

    Contexts of which no position is given count up to the time of the latest event that is named.
    """
    context, colon, _ = text.strip().partition(":")
    if not colon or not context.isidentifier():
        return Moment(parse_time(text))
    named = [await _event_at(log, part) for part in text.split(",")]
    return Moment(
        max(event.metadata.time for event in named), {event.context: event.position for event in named}
    )


async def _event_at(log: LogClient, text: str) -> Delivered:
    text = text.strip()
    try:
        # A consistency token is a position, too; its partition does not matter here.
        token = Token.parse(text if "." in text else f"{text}.0")
    except TokenInvalid:
        raise MomentInvalid(f"{text[:80]!r} is no position; write it like ordering:42") from None
    if token.context not in CONTEXTS:
        raise MomentInvalid(f"unknown context {token.context!r}; choose one of {', '.join(sorted(CONTEXTS))}")
    page = await log.page(token.context, max(token.position - 1, 0), limit=1)
    if not page.events or page.events[0].position != token.position:
        where = f"{token.context}:{token.position}"
        raise MomentInvalid(f"there is no event at {where}; the log of {token.context} ends at {page.head}")
    return page.events[0]


async def document_at(
    log: LogClient, model: ReadModel[D], key: str, moment: Moment, *, skipped: Collection[str] = ()
) -> Past[D]:
    """The document of a key at a moment; raises ContextUnavailable.

    A stream counts up to its first event after the moment: clocks may differ, order does not.
    """
    document: D | None = None
    ended: set[str] = set()
    for context in model.contexts:
        async for events in _events_of(log, model, context, key):
            due = [event for event in _before(moment, events, ended) if event.event_id not in skipped]
            found = sort(model, due)
            folded = fold(model, key, document, found.by_key.get(key, ()))
            document = folded.document
            parked = next((item for item in (*folded.parked, *found.parked) if item.key == key), None)
            if parked is not None:
                return Past(document, parked)
    return Past(document)


async def past_document(
    access: Access, log: LogClient, model: ReadModel[D], key: str, moment: Moment
) -> Past[D]:
    """The same without the events that operators skipped, which were ones that could not be applied."""
    past = await document_at(log, model, key, moment)
    if past.parked is None:
        return past
    return await document_at(log, model, key, moment, skipped=await skipped_events(access, model.name))


def _before(moment: Moment, events: Iterable[Delivered], ended: set[str]) -> Iterable[Delivered]:
    for event in events:
        if event.stream in ended:
            continue
        if moment.includes(event):
            yield event
        else:
            ended.add(event.stream)


async def _events_of(
    log: LogClient, model: ReadModel[Any], context: str, key: str
) -> AsyncIterator[list[Delivered]]:
    """Pages of the events that may make up a key's document."""
    if model.key is not None:
        # Only what an event says tells whose it is.
        async for events in log.read(context):
            yield events
        return
    categories = CATEGORIES.get(context)
    if categories is None:
        async for events in log.read(context, partitions=[partition_of(key)]):
            yield [event for event in events if key_of(event.stream) == key]
        return
    for category in categories:
        async for events in log.read(context, stream=f"{category}-{key}"):
            yield events


async def order_as_of(
    models: ReadModels, log: LogClient, order_id: str, time: datetime
) -> dict[str, Any] | None:
    """An order as it was, if it had been placed; raises ContextUnavailable and MongoUnavailable."""
    order = (await past_document(models.mongo, log, ORDERS, order_id, Moment(time))).document
    # As among the orders of today, a payment may stand before the order it is for.
    if order is None or order.placed_at is None:
        return None
    shown: dict[str, Any] = msgspec.to_builtins(order)
    return shown
