"""Operators lead orders that are stuck to an end: abandoned, settled or resumed, over HTTP."""

from __future__ import annotations

import httpx
import pytest

from infra.embedded.stack import EmbeddedStack
from tests.gateway.fuzz.shop import becomes_stuck, let_go
from tests.gateway.problems import assert_problem
from tests.support.shop import Shop, eventually
from tests.system.e2e.provider import charged

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PARCEL = {"carrier": "DHL", "tracking": "T1"}
LOST = {"reason": "lost in the warehouse"}


async def abandoned(shop: Shop, stack: EmbeddedStack, order_id: str) -> None:
    """An order whose stock cannot be shipped, given up by an operator."""
    await shop.stock(f"{order_id}-MUG", 5, price=500)
    await shop.customer(order_id)
    await shop.order(order_id, order_id, {f"{order_id}-MUG": 2})
    await shop.stage_becomes(order_id, "awaiting-dispatch")
    await let_go(stack, order_id)
    await shop.do(f"/v1/shipments/{order_id}/dispatch", PARCEL)
    await becomes_stuck(shop, order_id)
    await shop.do(f"/v1/fulfilments/{order_id}/abandon", LOST)
    await eventually(
        lambda: shop.get(f"/v1/fulfilments/{order_id}"),
        lambda saga: saga.get("outstanding") == ["money captured", "parcel out"],
        "what is outstanding",
    )


async def test_an_abandoned_order_refuses_further_commands_and_is_settled(
    shop: Shop, stack: EmbeddedStack, provider: httpx.AsyncClient
) -> None:
    """The goods never left: the customer gets the money back."""
    await abandoned(shop, stack, "lost-1")

    async def refused(path: str) -> httpx.Response:
        body = LOST if path.endswith("cancel") else None
        return await eventually(
            lambda: shop.post(path, body), lambda answer: answer.status_code == 409, f"{path} refused"
        )

    for path in ("/v1/orders/lost-1/cancel", "/v1/shipments/lost-1/deliver"):
        assert "abandoned" in assert_problem(await refused(path), 409, "rejected")["detail"]
    answer = await shop.post("/v1/fulfilments/lost-1/settle", LOST)
    assert "money captured" in assert_problem(answer, 409, "rejected")["detail"]
    await shop.do("/v1/fulfilments/lost-1/settle", {**LOST, "payment": "refund", "amount": 1000})
    await shop.stage_becomes("lost-1", "settled")
    assert (await charged(provider, "lost-1"))["refunded"] == 1000
    saga = await shop.get("/v1/fulfilments/lost-1")
    assert saga["settlement"] == {
        "reason": "lost in the warehouse",
        "payment": "refund",
        "amount": 1000,
        "stock": None,
    }


async def test_an_abandoned_order_is_taken_up_again(shop: Shop, stack: EmbeddedStack) -> None:
    """It is stuck where it was before, and its parcel can be delivered."""
    await abandoned(shop, stack, "found-1")
    await shop.do("/v1/fulfilments/found-1/resume", {"reason": "found again"})
    await becomes_stuck(shop, "found-1")
    await eventually(
        lambda: shop.post("/v1/shipments/found-1/deliver"),
        lambda answer: answer.status_code == 200,
        "delivered",
    )


async def test_a_healthy_order_cannot_be_abandoned(shop: Shop) -> None:
    await shop.stock("WELL-MUG", 1)
    await shop.customer("well")
    await shop.order("well-1", "well", {"WELL-MUG": 1})
    await shop.stage_becomes("well-1", "awaiting-dispatch")
    answer = await shop.post("/v1/fulfilments/well-1/abandon", LOST)
    assert "not stuck" in assert_problem(answer, 409, "rejected")["detail"]
