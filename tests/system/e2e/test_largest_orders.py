"""An order at all of its limits goes the whole way, and one over them is told which."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contexts.messages import MAX_LINES
from tests.gateway.problems import assert_problem
from tests.support.shop import Shop

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PRODUCTS = 20


async def products(shop: Shop, prefix: str, name: str) -> list[str]:
    """Put some products on sale, each under as long a SKU as there may be; the SKUs."""
    skus = [f"{prefix}-{number}".ljust(64, "x") for number in range(PRODUCTS)]

    async def add(sku: str) -> None:
        await shop.do("/v1/products", {"sku": sku, "name": name, "unit_price": 1_000, "currency": "GBP"})
        await shop.do(f"/v1/stock/{sku}/receive", {"quantity": MAX_LINES})

    await asyncio.gather(*map(add, skus))
    return skus


def order(order_id: str, skus: list[str]) -> dict[str, Any]:
    """As many lines as an order may have."""
    lines = [{"sku": skus[number % PRODUCTS], "quantity": 1} for number in range(MAX_LINES)]
    return {"order_id": order_id, "customer_id": "large", "lines": lines, "payment_method": "tok_approve"}


async def test_the_longest_order_is_placed_confirmed_and_delivered(shop: Shop) -> None:
    await shop.customer("large")
    skus = await products(shop, "LARGE", "x" * 200)
    await shop.do("/v1/orders", order("large-1", skus))
    confirmed = await shop.order_becomes("large-1", "confirmed")
    assert (len(confirmed["lines"]), confirmed["total"]) == (MAX_LINES, MAX_LINES * 1_000)
    await shop.stage_becomes("large-1", "awaiting-dispatch")
    await shop.do("/v1/shipments/large-1/dispatch", {"carrier": "Royal Mail", "tracking": "RM1"})
    await shop.do("/v1/shipments/large-1/deliver")
    await shop.stage_becomes("large-1", "completed")


async def test_an_order_whose_names_are_too_long_together_is_told_so(shop: Shop) -> None:
    await shop.customer("large")
    skus = await products(shop, "WIDE", "名" * 200)
    answer = await shop.post("/v1/orders", order("large-2", skus))
    problem = assert_problem(answer, 400, "invalid")
    assert problem["errors"][0]["field"] == "lines"
    assert "are the most" in problem["detail"]
