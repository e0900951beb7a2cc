"""Which documents a repair is about: those that have an event as asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Any

import msgspec

from infra.event_log.client import LogClient
from infra.messages.codec import EventUnreadable
from infra.messages.event_headers import Delivered
from infra.messages.events import PARTITIONS, key_of, partition_of
from read_models.projection.model import Occurrence, ReadModel, Source
from read_models.queries.order_history import ORDER_STREAMS

STOCKED = "inventory"
"""Here most of what concerns an order happens in the streams of its SKUs."""
ORDER_STREAM = {context: category for context, category in ORDER_STREAMS if context != STOCKED}


class ScopeInvalid(ValueError):
    """What is asked for makes no sense; the message names the option."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Events as asked for: all that is given must hold; `until` is exclusive, positions are inclusive.

    `order`: events in the order's streams and others that name it. `names` are wire names.
    """

    order: str | None = None
    keys: tuple[str, ...] = ()
    stream: str | None = None
    context: str | None = None
    names: frozenset[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    first: int | None = None
    last: int | None = None

    def check(self, model: ReadModel[Any]) -> None:
        """Raises ScopeInvalid if it can match nothing of the model, or if it is no choice at all."""
        if self == Scope():
            raise ScopeInvalid(
                "say which documents: --order, --key, --stream, --context, --events, --since, --until, "
                f"--from-position; `replay start {model.name}` rebuilds all"
            )
        contexts = ", ".join(model.contexts)
        if self.context is not None and self.context not in model.contexts:
            raise ScopeInvalid(f"--context: {self.context!r} feeds no {model.name}; {contexts} do")
        if (self.first is not None or self.last is not None) and self._context(model) is None:
            raise ScopeInvalid(f"--from-position and --to-position need --context, one of {contexts}")
        if self.stream is not None and not key_of(self.stream):
            raise ScopeInvalid(f"--stream: {self.stream!r} is no stream; they are like order-42")

    def _context(self, model: ReadModel[Any]) -> str | None:
        return model.contexts[0] if len(model.contexts) == 1 else self.context

    @property
    def filters(self) -> bool:
        """Whether it asks for more than some keys, so that a key without such an event is not meant."""
        return msgspec.structs.replace(self, keys=()) != Scope()

    def names_of(self, source: Source) -> frozenset[str]:
        """The events of a source that may match."""
        if self.context is not None and source.context != self.context:
            return frozenset()
        return source.names if self.names is None else source.names & self.names

    def streams(self, context: str) -> str | None:
        """The one stream of a context in which all that matches is, if there is one."""
        if self.stream is not None:
            return self.stream
        if self.order is not None and context in ORDER_STREAM:
            return f"{ORDER_STREAM[context]}-{self.order}"
        return None

    def includes(self, event: Delivered, occurrence: Occurrence | None) -> bool:
        """Whether an event of a wanted name, stream and time matches also otherwise."""
        if self.first is not None and event.position < self.first:
            return False
        if self.last is not None and event.position > self.last:
            return False
        if self.order is None:
            return True
        named = None if occurrence is None else getattr(occurrence.event, "order_id", None)
        return self.order in {key_of(event.stream), named}


class Selection(msgspec.Struct):
    """The documents' keys, each with the partitions its events are in, and how many events matched."""

    events: int = 0
    partitions: dict[str, set[int]] = msgspec.field(default_factory=dict)

    def add(self, key: str, partitions: Collection[int]) -> None:
        self.partitions.setdefault(key, set()).update(partitions)


async def select(log: LogClient, model: ReadModel[Any], scope: Scope) -> Selection:
    """Find the documents with an event as asked for; raises ScopeInvalid and ContextUnavailable."""
    scope.check(model)
    selection = Selection()
    if scope.keys and not scope.filters:
        # Also what no event makes is repaired if it is named: it is removed.
        for key in scope.keys:
            selection.add(key, {partition_of(key)} if model.key is None else range(PARTITIONS))
        if model.key is None:
            return selection
    for source in model.sources:
        async for events in _pages(log, model, source, scope):
            _match(model, source, scope, events, selection)
    return selection


async def _pages(
    log: LogClient, model: ReadModel[Any], source: Source, scope: Scope
) -> AsyncIterator[list[Delivered]]:
    names = scope.names_of(source)
    if not names:
        return
    keyed = bool(scope.keys) and model.key is None
    async for events in log.read(
        source.context,
        max((scope.first or 1) - 1, 0),
        partitions={partition_of(key) for key in scope.keys} if keyed else None,
        stream=scope.streams(source.context),
        names=names,
        since=scope.since,
        until=scope.until,
    ):
        yield events
        if scope.last is not None and events[-1].position >= scope.last:
            return


def _match(
    model: ReadModel[Any], source: Source, scope: Scope, events: Collection[Delivered], selection: Selection
) -> None:
    for event in events:
        occurrence = _read(source, event)
        if not scope.includes(event, occurrence):
            continue
        key = _key(model, event, occurrence)
        if key is not None and (not scope.keys or key in scope.keys):
            selection.events += 1
            selection.add(key, {event.partition})


def _read(source: Source, event: Delivered) -> Occurrence | None:
    try:
        return source.read(event)
    except EventUnreadable:
        return None


def _key(model: ReadModel[Any], event: Delivered, occurrence: Occurrence | None) -> str | None:
    if model.key is None:
        return key_of(event.stream)
    # Of an event that cannot be read nobody knows whose it is: it waits as a dead letter of its stream.
    return None if occurrence is None else model.key(occurrence)
