"""/v1/sales: what was sold."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
from litestar import Router

from contexts.messages import Country
from gateway.http.guard import Access
from gateway.http.query_route import Asked, Items, query_route
from gateway.http.request import RequestContext
from gateway.problems import INVALID, Problem
from read_models import sales as model

LONGEST_SPAN = timedelta(days=3_660)


class AskedSales(Asked, frozen=True, kw_only=True):
    """Which days are wanted, both ends included (UTC)."""

    first: date = msgspec.field(name="from")
    last: date = msgspec.field(name="to")
    country: Country | None = None


class SalesOfDay(msgspec.Struct, frozen=True):
    """A day's sales; `revenue` in minor units by currency."""

    day: str
    orders: int
    units: int
    revenue: dict[str, int]


@query_route(
    "/daily",
    access=Access.REPORTS_READ,
    model="sales",
    document=Items[SalesOfDay],
    asks=AskedSales,
    summary="Show sales per day",
)
async def list_daily_sales(incoming: RequestContext, asked: AskedSales) -> Items[dict[str, Any]]:
    """An order counts on the day it was placed (UTC), once it is confirmed.

    Cancellations and accepted returns are taken off that day. Days without sales are left out. At most 3,660
    days can be asked for at once.
    """
    if asked.last < asked.first:
        raise Problem(INVALID, "`to` is before `from`", field="to")
    if asked.last - asked.first > LONGEST_SPAN:
        raise Problem(INVALID, f"at most {LONGEST_SPAN.days:,} days may be asked for at once", field="to")
    days = await model.daily(
        incoming.services.models, first=asked.first, last=asked.last, country=asked.country
    )
    return Items(days, None)


sales = Router("/v1/sales", tags=["reports"], route_handlers=[list_daily_sales])
