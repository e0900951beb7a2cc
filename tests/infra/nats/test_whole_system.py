"""With a user for each service everything works, and nobody is refused anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.infra.nats.deployment import Deployment
from tests.support.shop import Shop

pytestmark = pytest.mark.slow


async def deliver(shop: Shop, order_id: str) -> None:
    """From placed to completed."""
    await shop.order(order_id, "ada", {"MUG": 1})
    await shop.stage_becomes(order_id, "awaiting-dispatch")
    await shop.do(f"/v1/shipments/{order_id}/dispatch", {"carrier": "DHL", "tracking": "D1"})
    await shop.order_becomes(order_id, "dispatched")
    await shop.do(f"/v1/shipments/{order_id}/deliver")
    await shop.stage_becomes(order_id, "completed")


async def test_the_whole_system_works_with_a_user_for_each_service(
    tmp_path: Path, mongo_url: str, mongo_database: str
) -> None:
    """Orders, timers, replays, a log published anew, JetStream lost and refilled, and verification."""
    async with (
        Deployment(tmp_path, mongo_url, mongo_database) as system,
        Shop(system.url, system.token()) as shop,
    ):
        await shop.stock("MUG", 100)
        await shop.customer("ada")
        await asyncio.gather(
            deliver(shop, "paid"),
            # Its timer is set, and taken off again when the payment comes.
            shop.order("late", "ada", {"MUG": 1}, payment="tok_late_1000"),
        )
        await shop.order_becomes("late", "confirmed")
        await shop.get("/v1/orders/paid/history")
        assert (await shop.get("/v1/customers/ada"))["email"] == "ada@example.org"

        await system.orderfold("replay", "start", "orders", "--switch")
        await system.orderfold("replay", "drop", "orders", "--yes")
        await system.orderfold("replay", "publish", "ordering", "--anew")

        system.wipe_jetstream()
        await system.ready()
        await deliver(shop, "after")
        told = await system.metrics()
        assert all("orderfold_nats_connected" in text for text in told.values())

        system.restart("fulfilment", payment_timeout="1")
        await system.ready()
        # Its timer rings.
        await shop.order("unpaid", "ada", {"MUG": 1}, payment="tok_late_9000")
        given_up = await shop.order_becomes("unpaid", "cancelled")
        assert "timed out" in given_up["cancelled_reason"]
        await system.orderfold("verify", "--wait", "120")
        assert system.complaints() == []
        assert [name for name, process in system.processes.items() if not process.running] == []
