"""What the shop itself says it sold: `/v1/sales/daily`."""

from __future__ import annotations

import asyncio
import time
from datetime import date, timedelta
from typing import Any

from gateway.cli.failure import CommandFailed
from gateway.cli.importer.shop import Shop
from gateway.cli.importer.tally import DaySales, Tally, differences

DAILY = "/v1/sales/daily"
SPAN = timedelta(days=90)
"""So many days are asked for at once."""
POLL_SECONDS = 0.5
LATE_SECONDS = 15.0
"""Sales that are missing for so long, without anything new coming, are not merely late."""
STILL_SECONDS = 2.0
"""The same where what differs has its reason: there is more than ours, or not all of ours was confirmed."""


async def sales(shop: Shop, first: date, last: date, currency: str, placed: str) -> Tally:
    """The shop's sales of the days from `first` to `last`, both included, not from before `placed`."""
    tally = Tally()
    begin = first
    while begin <= last:
        end = min(last, begin + SPAN)
        answer = await shop.get(DAILY, after=placed, **{"from": begin.isoformat(), "to": end.isoformat()})
        if not answer.good:
            raise CommandFailed(f"{DAILY}: {answer.problem}")
        for item in answer.body["items"]:
            tally.add(*day_sales(item, currency))
        begin = end + timedelta(days=1)
    return tally


def day_sales(item: Any, currency: str) -> tuple[date, DaySales]:
    """One day of the answer."""
    return date.fromisoformat(item["day"]), DaySales(
        item["orders"], item["units"], item["revenue"].get(currency, 0)
    )


async def settled_sales(shop: Shop, ours: Tally, currency: str, placed: str, *, confirmed: bool) -> Tally:
    """The shop's sales of our days, as soon as they are as ours, or as they stay.

    `confirmed` says that all of ours were.
    """
    if not ours.days:
        return Tally()
    before, changed = Tally(), time.monotonic()
    while True:
        theirs = await sales(shop, min(ours.days), max(ours.days), currency, placed)
        apart = differences(ours, theirs)
        if differences(before, theirs):
            before, changed = theirs, time.monotonic()
        late = confirmed and any(gap.theirs.orders < gap.ours.orders for gap in apart)
        if not apart or time.monotonic() - changed > (LATE_SECONDS if late else STILL_SECONDS):
            return theirs
        await asyncio.sleep(POLL_SECONDS)
