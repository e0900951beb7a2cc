"""What the shop itself says it sold on the file's days: `/v1/sales/daily`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from typing import Any

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.api_client import Shop
from gateway.cli.importer.tally import DaySales, Sales, Tally, differences

DAILY = "/v1/sales/daily"
SPAN = timedelta(days=366)
"""So many days are asked for at once."""
POLL_SECONDS = 0.5
LATE_SECONDS = 15.0
"""Sales that are missing for so long, without anything new coming, are not merely late."""
STILL_SECONDS = 2.0
"""The same where what differs has its reason: there is more than ours, or not all of ours was confirmed."""


async def sales(shop: Shop, days: Collection[date], currency: str, placed: str, **only: str) -> Tally:
    """The shop's sales of these days and no others, not from before `placed`."""
    tally = Tally()
    for first, last in spans(days):
        asked = {"from": first.isoformat(), "to": last.isoformat(), **only}
        answer = await shop.get(DAILY, after=placed, **asked)
        if not answer.good:
            raise CommandFailed(f"{DAILY}: {answer.problem}")
        for item in answer.body["items"]:
            tally.add(*day_sales(item, currency))
    return tally.on(days)


def spans(days: Collection[date]) -> Iterator[tuple[date, date]]:
    """First and last days to ask for, without long stretches between that have none of the days."""
    first = last = None
    for day in sorted(days):
        if first is None or last is None:
            first = last = day
        elif day - first >= SPAN or day - last > SPAN / 4:
            yield first, last
            first = last = day
        else:
            last = day
    if first is not None and last is not None:
        yield first, last


def day_sales(item: Any, currency: str) -> tuple[date, DaySales]:
    """One day of the answer."""
    return date.fromisoformat(item["day"]), DaySales(
        item["orders"], item["units"], item["revenue"].get(currency, 0)
    )


async def settled_sales(shop: Shop, ours: Sales, currency: str, placed: str, *, confirmed: bool) -> Sales:
    """The shop's sales of our days, as soon as they are as ours, or as they stay.

    `confirmed` says that all of ours were.
    """
    days = ours.whole.days.keys()
    whole = await settled_days(shop, ours.whole, currency, placed, confirmed=confirmed)
    return Sales(
        whole,
        {
            country: await sales(shop, days, currency, placed, country=country)
            for country in sorted(ours.countries)
        },
    )


async def settled_days(shop: Shop, ours: Tally, currency: str, placed: str, *, confirmed: bool) -> Tally:
    """The same for all countries together."""
    before, changed = Tally(), time.monotonic()
    while ours.days:
        theirs = await sales(shop, ours.days, currency, placed)
        apart = differences(ours, theirs)
        if differences(before, theirs):
            before, changed = theirs, time.monotonic()
        late = confirmed and any(gap.theirs.orders < gap.ours.orders for gap in apart)
        if not apart or time.monotonic() - changed > (LATE_SECONDS if late else STILL_SECONDS):
            return theirs
        await asyncio.sleep(POLL_SECONDS)
    return Tally()
