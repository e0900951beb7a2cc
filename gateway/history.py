"""An order's history: what every context has recorded about it, each cause before its effects."""

from __future__ import annotations

import asyncio
import heapq
import re
from collections.abc import Sequence
from datetime import datetime

import msgspec

from infra.event_message import Delivered
from infra.log_service import LogClient

STREAMS = (
    ("ordering", "order"),
    ("inventory", "reservation"),
    ("payments", "payment"),
    ("shipping", "shipment"),
    ("fulfilment", "fulfilment"),
)
"""Where an order's events are: the context and its category of streams."""

SAGA_COMMAND = re.compile(r"(.+):(\d+):\d+")
"""The id of a saga's command names the event that gave rise to it: `<stream>:<version>:<n>`."""


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """One event: where it stands, who caused it and when, and what it says.

    `causation_id` is the id of the command it answers, or of the event a saga's step answers.
    """

    context: str
    event: str
    event_id: str
    time: datetime
    actor: str
    causation_id: str
    correlation_id: str
    version: int
    data: msgspec.Raw


async def history_of(logs: LogClient, order_id: str) -> list[HistoryItem]:
    """Everything about an order; raises ContextUnavailable rather than leaving a context out."""
    parts = await asyncio.gather(
        *(stream_of(logs, context, f"{category}-{order_id}") for context, category in STREAMS)
    )
    return [item_of(event) for event in causal_order([event for part in parts for event in part])]


async def stream_of(logs: LogClient, context: str, stream: str) -> list[Delivered]:
    """A whole stream; its pages are asked for by position."""
    return [event async for page in logs.read(context, stream=stream) for event in page]


def causal_order(events: Sequence[Delivered]) -> list[Delivered]:
    """Each event after the one before it in its stream and after its cause; otherwise by time."""
    known = {event.event_id: event for event in events}
    waits_for: dict[str, int] = dict.fromkeys(known, 0)
    effects: dict[str, list[str]] = {}
    for event in events:
        for cause in {f"{event.stream}@{event.version - 1}", cause_of(event)} & known.keys():
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


def cause_of(event: Delivered) -> str:
    """The id of the event this one follows from, directly or through a saga's command; else no event's."""
    command = SAGA_COMMAND.fullmatch(event.metadata.causation_id)
    return f"{command[1]}@{command[2]}" if command else event.metadata.causation_id


def place_of(event: Delivered) -> tuple[datetime, str, int, str]:
    return (event.metadata.time, event.context, event.position, event.event_id)


def item_of(event: Delivered) -> HistoryItem:
    return HistoryItem(
        context=event.context,
        event=event.name,
        event_id=event.event_id,
        time=event.metadata.time,
        actor=event.metadata.actor,
        causation_id=event.metadata.causation_id,
        correlation_id=event.metadata.correlation_id,
        version=event.version,
        data=msgspec.Raw(event.data),
    )
