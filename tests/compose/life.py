"""An order's life, as its customer and the staff see it."""

from __future__ import annotations

from tests.shop import Shop


async def delivered(shop: Shop, payment: str = "tok_approve") -> int:
    """Have an order placed, paid, sent and delivered; what was paid for it."""
    await shop.stock("TEAPOT", 10, price=950)
    await shop.customer("ada")
    await shop.order("life-1", "ada", {"TEAPOT": 3}, payment)
    await shop.stage_becomes("life-1", "awaiting-dispatch")
    await shop.do("/v1/shipments/life-1/dispatch", {"carrier": "Royal Mail", "tracking": "RM1"})
    await shop.order_becomes("life-1", "dispatched")
    await shop.do("/v1/shipments/life-1/deliver")
    order = await shop.order_becomes("life-1", "completed")
    return int(order["payment"]["captured"])
