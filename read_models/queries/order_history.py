"""What led to what: the events about one order in every context, each cause before its effects."""

from __future__ import annotations

import asyncio
import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from contexts.fulfilment.events import command_id
from infra.event_log.client import LogClient
from infra.messages.event_headers import Delivered

ORDER_STREAMS = (
    ("ordering", "order"),
    ("inventory", "reservation"),
    ("payments", "payment"),
    ("shipping", "shipment"),
    ("fulfilment", "fulfilment"),
)
"""Where an order's events are: the context and its category of streams."""

SAGA_COMMAND = re.compile(r"(.+):(\d+):\d+")
"""In earlier versions a saga's command was named after the event that asked for it."""


async def events_of_order(log: LogClient, order_id: str) -> list[Delivered]:
    """Everything about an order, causes first; raises ContextUnavailable rather than leave a context out."""
    parts = await asyncio.gather(
        *(stream_of(log, context, f"{category}-{order_id}") for context, category in ORDER_STREAMS)
    )
    return causal_order([event for part in parts for event in part])


async def stream_of(log: LogClient, context: str, stream: str) -> list[Delivered]:
    """A whole stream; its pages are asked for by position."""
    return [event async for page in log.read(context, stream=stream) for event in page]


def causal_order(events: Sequence[Delivered]) -> list[Delivered]:
    """Each event after the one before it in its stream and after its cause; otherwise by time."""
    known = {event.event_id: event for event in events}
    origins = origins_of(events)
    waits_for: dict[str, int] = dict.fromkeys(known, 0)
    effects: dict[str, list[str]] = {}
    for event in events:
        for cause in {f"{event.stream}@{event.version - 1}", cause_of(event, origins)} & known.keys():
            waits_for[event.event_id] += 1
            effects.setdefault(cause, []).append(event.event_id)
    ready = [place_of(known[event_id]) for event_id, count in waits_for.items() if count == 0]
    heapq.heapify(ready)
    ordered: list[Delivered] = []
    while ready:
        event = known[heapq.heappop(ready)[-1]]
        ordered.append(event)
        for effect in effects.get(event.event_id, ()):
            waits_for[effect] -= 1
            if waits_for[effect] == 0:
                heapq.heappush(ready, place_of(known[effect]))
    return ordered


def origins_of(events: Iterable[Delivered]) -> dict[str, str]:
    """Command id → the id of the saga's event that asked for it first."""
    origins: dict[str, str] = {}
    for event in events:
        for issued in commands_of(event):
            origins.setdefault(issued, event.event_id)
    return origins


class _Step(msgspec.Struct):
    type: str
    return_id: str | None = None

    @property
    def identity(self) -> str:
        return self.type if self.return_id is None else f"{self.type}:{self.return_id}"


class _Asking(msgspec.Struct):
    commands: tuple[_Step, ...] = ()


def commands_of(event: Delivered) -> dict[str, str]:
    """The commands that an event of the saga asks for: id → wire name, in order."""
    if event.context != "fulfilment":
        return {}
    try:
        asking = msgspec.json.decode(event.data, type=_Asking)
    except msgspec.DecodeError:
        # An operator may be after this very event: all others are shown.
        return {}
    return {command_id(event.stream, step.identity, event.version): step.type for step in asking.commands}


def cause_of(event: Delivered, origins: Mapping[str, str]) -> str:
    """The id of the event this one follows from, directly or through a saga's command; else no event's."""
    cause = event.metadata.causation_id
    command = SAGA_COMMAND.fullmatch(cause)
    return origins.get(cause) or (f"{command[1]}@{command[2]}" if command else cause)


def place_of(event: Delivered) -> tuple[datetime, str, int, str]:
    """By what events are ordered that have nothing to do with each other."""
    return (event.metadata.time, event.context, event.position, event.event_id)
