"""What did this order look like then? The order's document, folded up to a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from infra.event_log.client import LogClient
from read_models.orders import ORDERS
from read_models.projection.documents import ReadModels
from read_models.queries.time_travel import Moment, past_document


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
