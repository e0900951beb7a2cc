"""A shop that has something of every kind: what a request can be about, so that it gets past "not found"."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import nats

from infra.embedded.stack import EmbeddedStack
from infra.messages.commands import Accepted, Envelope
from infra.runtime.command_client import CommandClient
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.shop import Shop, eventually

SKUS = ("MUG", "OLD")
CUSTOMERS = ("ann", "bob", "gone")
STUCK = ("stuck", "abandoned", "unsettled", "resumed")
"""Those whose units cannot be shipped; all but the first are abandoned, the last is resumed."""
ORDERS = ("placed", "confirmed", "dispatched", "completed", "cancelled", "returning", *STUCK)
"""Ann's; each is called by where it stands."""
RETURNS = ("kept", "worn", "sent")
"""Open returns of the order `returning`; each is called by what becomes of it."""
NEVER = "tok_late_9999999"
"""A payment that is decided in three hours."""
PARCEL = {"carrier": "DHL", "tracking": "T1"}


async def furnish(shop: Shop, stack: EmbeddedStack) -> None:
    """Return when everything is there and stands where its name says."""
    for sku in SKUS:
        await shop.stock(sku, 1_000, price=950)
    await shop.stock("GOLD", 1_000, price=10**10)
    for customer_id in CUSTOMERS:
        await shop.customer(customer_id)
    await shop.do("/v1/products/OLD/discontinue")
    await shop.do("/v1/customers/gone/forget")
    for order_id in ORDERS:
        units = len(RETURNS) if order_id == "returning" else 2
        payment = NEVER if order_id == "placed" else "tok_approve"
        await shop.order(order_id, "ann", {"MUG": units}, payment=payment)
    await asyncio.gather(*(shop.stage_becomes(order_id, "awaiting-dispatch") for order_id in ORDERS[1:]))
    await shop.do("/v1/orders/cancelled/cancel", {"reason": "changed my mind"})
    for order_id in STUCK:
        await let_go(stack, order_id)
    for order_id in ("dispatched", "completed", "returning", *STUCK):
        await shop.do(f"/v1/shipments/{order_id}/dispatch", PARCEL)
    for order_id in ("completed", "returning"):
        await shop.order_becomes(order_id, "dispatched")
        await shop.do(f"/v1/shipments/{order_id}/deliver")
        await shop.stage_becomes(order_id, "completed")
    for return_id in RETURNS:
        lines = [{"sku": "MUG", "quantity": 1}]
        await shop.do(
            "/v1/orders/returning/return", {"return_id": return_id, "lines": lines, "reason": "chipped"}
        )
    await shop.stage_becomes("cancelled", "cancelled")
    for order_id in STUCK[1:]:
        await becomes_stuck(shop, order_id)
        await shop.do(f"/v1/fulfilments/{order_id}/abandon", {"reason": "lost in the warehouse"})
    await shop.do("/v1/fulfilments/resumed/resume", {"reason": "found again"})


async def let_go(stack: EmbeddedStack, order_id: str) -> None:
    """Release an order's units behind its fulfilment's back: they cannot be shipped, and it will be stuck."""
    client = await nats.connect(stack.settings.nats_url)
    now = datetime.now(UTC)
    answer = await CommandClient(client).send(
        "inventory",
        "ReleaseReservation",
        msgspec.json.encode({"order_id": order_id}),
        Envelope(
            command_id=f"let-go-{order_id}",
            correlation_id="let-go",
            causation_id="let-go",
            actor="somebody",
            time=now,
            deadline=now + timedelta(seconds=HOLDS_SECONDS),
        ),
    )
    await client.close()
    assert isinstance(answer, Accepted), answer


async def becomes_stuck(shop: Shop, order_id: str) -> None:
    """Return when its fulfilment has given up trying."""
    await eventually(
        lambda: shop.get(f"/v1/fulfilments/{order_id}"), lambda saga: saga["stuck"], f"{order_id} stuck"
    )
