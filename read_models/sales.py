"""What did we sell? Orders, units and revenue per day (UTC, of `placed_at`), country and currency.

Many orders feed one day, so each partition keeps its own documents and the query adds them up: partitions
never contend for a document.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date
from typing import Any, assert_never

import msgspec

from contexts.ordering.events import OrderCancelled, OrderConfirmed, ReturnAccepted
from contexts.ordering.order_lines import Sale
from read_models.projection.documents import ReadModels
from read_models.projection.model import Occurrence, ReadModel, Source

SalesEvent = OrderConfirmed | OrderCancelled | ReturnAccepted
"""Those of ordering's events that add to the sales or take back from them."""


class DailySales(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's share of a day's sales; `revenue` in minor units."""

    partition: int
    day: str
    country: str
    currency: str
    orders: int = 0
    units: int = 0
    revenue: int = 0


def day_of(sale: Sale) -> str:
    """The day a sale counts on, in UTC."""
    return sale.placed_at.astimezone(UTC).date().isoformat()


def key(occurrence: Occurrence) -> str | None:
    """Such as `7/2010-12-01/GB/GBP`; None for a cancellation that takes nothing back."""
    event: SalesEvent = occurrence.event
    if event.sale is None:
        return None
    return f"{occurrence.partition}/{day_of(event.sale)}/{event.sale.country}/{event.sale.currency}"


def project(document: DailySales | None, occurrence: Occurrence) -> DailySales | None:
    """The day's sales after one more event."""
    event: SalesEvent = occurrence.event
    match event:
        case OrderConfirmed():
            sale, sign = event.sale, 1
        case OrderCancelled(sale=None):
            return document
        case OrderCancelled(sale=taken) | ReturnAccepted(sale=taken):
            assert taken is not None
            sale, sign = taken, -1
        case _:
            assert_never(event)
    sales = document or DailySales(
        partition=occurrence.partition, day=day_of(sale), country=sale.country, currency=sale.currency
    )
    return msgspec.structs.replace(
        sales,
        orders=sales.orders + sign * sale.orders,
        units=sales.units + sign * sale.units,
        revenue=sales.revenue + sign * sale.amount,
    )


SALES = ReadModel(
    name="sales",
    sources=(Source("ordering", SalesEvent),),
    document=DailySales,
    project=project,
    key=key,
    indexes=((("day", 1), ("country", 1)),),
)


async def daily(
    models: ReadModels, *, first: date, last: date, country: str | None = None
) -> list[dict[str, Any]]:
    """`{day, orders, units, revenue: {currency: minor units}}` for each day from `first` up to `last`.

    Days on which nothing is left sold are left out.
    """
    wanted: dict[str, Any] = {"day": {"$gte": first.isoformat(), "$lte": last.isoformat()}}
    if country is not None:
        wanted["country"] = country
    sums = {name: {"$sum": f"${name}"} for name in ("orders", "units", "revenue")}
    rows = await models.aggregate(
        SALES,
        [
            {"$match": wanted},
            {"$group": {"_id": {"day": "$day", "currency": "$currency"}, **sums}},
            {"$sort": {"_id.day": 1, "_id.currency": 1}},
        ],
    )
    return _by_day(rows)


def _by_day(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    days: dict[str, dict[str, Any]] = {}
    for row in rows:
        if not _anything(row):
            continue
        day = days.setdefault(
            row["_id"]["day"], {"day": row["_id"]["day"], "orders": 0, "units": 0, "revenue": {}}
        )
        day["orders"] += row["orders"]
        day["units"] += row["units"]
        day["revenue"][row["_id"]["currency"]] = row["revenue"]
    return list(days.values())


def _anything(row: Mapping[str, Any]) -> bool:
    return bool(row["orders"] or row["units"] or row["revenue"])
