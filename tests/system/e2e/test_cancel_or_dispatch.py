"""A cancellation and a dispatch may race: the shipment decides, and goods gone are goods paid for."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.gateway.problems import assert_problem
from tests.support.shop import Shop, eventually
from tests.system.e2e.provider import charged

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

ORDERS = 24
PARCEL = {"carrier": "DHL", "tracking": "T1"}
REASON = {"reason": "changed my mind"}


def decided(order: dict[str, Any]) -> bool:
    """Whether the race is over and all that follows from it is done."""
    if order["shipment"]["status"] == "dispatched":
        return bool(order["status"] == "dispatched" and order["payment"]["captured"])
    return bool(order["status"] == "cancelled" and order["payment"]["status"] == "voided")


@pytest.mark.parametrize("head_start", [0.0, 0.02])
async def test_whoever_comes_first_goods_gone_are_paid_for_and_cancelled_means_nothing_is_held(
    shop: Shop, provider: httpx.AsyncClient, head_start: float
) -> None:
    sku, customer = f"RACE-{int(head_start * 100)}", f"race-{int(head_start * 100)}"
    await shop.stock(sku, ORDERS, price=500)
    await shop.customer(customer)
    ids = [f"{customer}-{number}" for number in range(ORDERS)]
    for order_id in ids:
        await shop.order(order_id, customer, {sku: 1})
    await asyncio.gather(*(shop.stage_becomes(order_id, "awaiting-dispatch") for order_id in ids))

    async def race(order_id: str) -> None:
        first = asyncio.create_task(shop.post(f"/v1/shipments/{order_id}/dispatch", PARCEL))
        await asyncio.sleep(head_start)
        await asyncio.gather(first, shop.post(f"/v1/orders/{order_id}/cancel", REASON))

    await asyncio.gather(*(race(order_id) for order_id in ids))
    gone = 0
    for order_id in ids:
        order = await eventually(lambda it=order_id: shop.get(f"/v1/orders/{it}"), decided, order_id)  # type: ignore[misc]
        books = await charged(provider, order_id)
        saga = await shop.get(f"/v1/fulfilments/{order_id}")
        assert not saga["stuck"], saga
        if order["shipment"]["status"] == "dispatched":
            gone += 1
            assert (order["payment"]["captured"], books["captured"]) == (500, 500)
        else:
            await shop.stage_becomes(order_id, "cancelled")
            assert (books["status"], books["captured"]) == ("voided", 0)
    await shop.stock_becomes(sku, on_hand=ORDERS - gone, reserved=0, available=ORDERS - gone)


async def test_a_dispatched_order_is_no_longer_cancelled(shop: Shop) -> None:
    """A return is the way."""
    await shop.stock("SENT-MUG", 1)
    await shop.customer("sent")
    await shop.order("sent-1", "sent", {"SENT-MUG": 1})
    await shop.stage_becomes("sent-1", "awaiting-dispatch")
    await shop.do("/v1/shipments/sent-1/dispatch", PARCEL)
    await shop.order_becomes("sent-1", "dispatched")
    answer = await shop.post("/v1/orders/sent-1/cancel", REASON)
    assert_problem(answer, 409, "rejected")
    assert "dispatched" in answer.json()["detail"]
