"""An order's history as it is shown: what every context has recorded about it, causes before effects."""

from __future__ import annotations

from datetime import datetime

import msgspec

from infra.event_log.server import LogClient
from infra.messages.event_headers import Delivered
from read_models.queries.order_history import events_of_order


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
    return [item_of(event) for event in await events_of_order(logs, order_id)]


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
