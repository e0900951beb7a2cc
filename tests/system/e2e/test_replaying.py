"""Replays on the whole system: operators' commands, and what they must leave alone."""

from __future__ import annotations

from typing import Any

import httpx
import nats as nats_client
import pytest
from nats.aio.msg import Msg

from infra.embedded.stack import EmbeddedStack
from read_models.registry import MODELS
from tests.support.nats_settled import settled
from tests.support.shop import Shop, eventually
from tests.system.e2e.commands import orderfold

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def replay(stack: EmbeddedStack, *arguments: str) -> str:
    """Run `orderfold replay`; what it printed."""
    return await orderfold(stack, "replay", *arguments)


async def payments(provider: httpx.AsyncClient, order_id: str) -> list[Any]:
    """What the provider's own books say of an order; other tests' orders may be under way."""
    listed = (await provider.get("/ledger")).json()["payments"]
    return [payment for payment in listed if payment["order_id"] == order_id]


async def test_replaying_everything_orders_nothing_and_charges_nobody(
    stack: EmbeddedStack, shop: Shop, provider: httpx.AsyncClient
) -> None:
    """Every model is rebuilt over a paid order; nobody is told anything of it, the provider's books stand."""
    await shop.stock("AGAIN-MUG", 10)
    await shop.customer("again")
    await shop.order("again-1", "again", {"AGAIN-MUG": 2})
    await shop.stage_becomes("again-1", "awaiting-dispatch")
    # The order's document learns of the parcel at its own pace.
    before = await eventually(
        lambda: shop.get("/v1/orders/again-1"),
        lambda order: order["shipment"]["status"] == "created",
        "the parcel in the order",
    )
    books = await payments(provider, "again-1")
    assert books
    commands: list[bytes] = []
    watcher = await nats_client.connect(stack.settings.nats_url)

    async def hear(message: Msg) -> None:
        commands.append(message.data)

    for subject in ("cmd.>", "timer.>", "due.>"):
        await watcher.subscribe(subject, cb=hear)
    await settled(watcher)
    await replay(stack, "start", "--all")
    for model in MODELS:
        assert "clean: every document is the same" in await replay(stack, "diff", model)
        await replay(stack, "drop", model, "--yes")
    await settled(watcher)
    await watcher.close()
    assert [command for command in commands if b"again-1" in command] == []
    assert await payments(provider, "again-1") == books
    assert await shop.get("/v1/orders/again-1") == before


async def test_an_order_is_traced_and_shown_as_it_was(stack: EmbeddedStack, shop: Shop) -> None:
    """From the shop's request to the parcel, over four contexts and the saga."""
    await shop.stock("TRACE-MUG", 10)
    await shop.customer("trace")
    placed = await shop.order("trace-1", "trace", {"TRACE-MUG": 1})
    await shop.stage_becomes("trace-1", "awaiting-dispatch")
    lines = [line.strip("│├└─ ") for line in (await replay(stack, "trace", "trace-1")).splitlines()]
    assert lines[1].startswith("HTTP request")
    for told in ("inventory.ReserveStock", "payments.PaymentAuthorized", "shipping.ShipmentCreated"):
        assert any(line.startswith(told) for line in lines), lines
    then = await replay(stack, "show", "orders", "trace-1", "--as-of", placed["position"])
    assert '"status": "placed"' in then
    assert '"status": "confirmed"' in await replay(stack, "show", "orders", "trace-1")
