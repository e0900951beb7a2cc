"""Waiting until the shop has decided about the orders that were placed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

import msgspec

from gateway.cli.importer.api_client import Shop
from gateway.cli.importer.placed import ORDERS
from gateway.cli.progress import Steps

POLL_SECONDS = 0.5
STALL_SECONDS = 120.0
"""Nothing was decided for so long: a person has to look."""


class Decisions(msgspec.Struct):
    """What became of the orders that are not confirmed."""

    undecided: set[str]
    stuck: dict[str, str]
    """Order → what its fulfilment has run into."""
    cancelled: dict[str, str]
    """Order → why."""

    @property
    def all_confirmed(self) -> bool:
        """Whether there is no such order."""
        return not (self.undecided or self.stuck or self.cancelled)


async def decided(shop: Shop, orders: Collection[str], placed: str, steps: Steps) -> Decisions:
    """Return when every order was confirmed or cancelled, is stuck, or nothing moves any more.

    `placed` are the tokens of the orders: no list may be from before they were there.
    """
    ours = set(orders)
    moved, fewest = time.monotonic(), len(ours)
    stuck: dict[str, str] = {}
    while True:
        began = time.monotonic()
        undecided = {
            order["order_id"] async for order in shop.items(ORDERS, after=placed, status="placed")
        } & ours
        steps.at(len(ours) - len(undecided), len(ours))
        if len(undecided) < fewest:
            moved, fewest = time.monotonic(), len(undecided)
        if undecided:
            stuck = await stuck_among(shop, undecided)
        if undecided <= stuck.keys() or time.monotonic() - moved > STALL_SECONDS:
            break
        # Asking is work for the shop as well: never more of it than of waiting.
        await asyncio.sleep(max(POLL_SECONDS, time.monotonic() - began))
    cancelled = {
        order["order_id"]: str(order.get("cancelled_reason") or "")
        async for order in shop.items(ORDERS, after=placed, status="cancelled")
        if order["order_id"] in ours
    }
    return Decisions(undecided - stuck.keys(), stuck, cancelled)


async def stuck_among(shop: Shop, orders: Collection[str]) -> dict[str, str]:
    """Those whose fulfilment waits for an operator."""
    return {
        item["order_id"]: str(item.get("problem") or "")
        async for item in shop.items("/v1/fulfilments", stuck="true")
        if item["order_id"] in orders
    }
