"""The saga's process is killed after every step it records; orders still end as they should."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.support.deadlines import HOLDS_SECONDS, whole_run
from tests.support.shop import Shop, eventually
from tests.system.e2e.conftest import bearer
from tests.system.faults.books import Books

pytestmark = [pytest.mark.slow, whole_run]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[EmbeddedStack]:
    """A stack of its own, which will suffer."""
    async with EmbeddedStack(tmp_path / "data", port=free_port(), environ={}) as running:
        yield running


def steps(stack: EmbeddedStack) -> int:
    """How many events the saga has stored; read from its file, as its process is often dead."""
    file = stack.folder.root / "stores" / "fulfilment.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=HOLDS_SECONDS)) as store:
        return int(store.execute("SELECT count(*) FROM stored_events").fetchone()[0])


@asynccontextmanager
async def killed_at_every_step(stack: EmbeddedStack) -> AsyncIterator[list[int]]:
    """Kill and restart the contexts whenever the saga has recorded something; yields when that was."""
    kills: list[int] = []

    async def suffer() -> None:
        seen = steps(stack)
        while True:
            await asyncio.sleep(0.005)
            now = steps(stack)
            if now > seen:
                seen = now
                kills.append(now)
                await stack.restart("contexts")

    suffering = asyncio.create_task(suffer())
    try:
        yield kills
    finally:
        suffering.cancel()
        await asyncio.gather(suffering, return_exceptions=True)


async def insist(shop: Shop, path: str, body: Any = None, **headers: str) -> None:
    """Send a command until it is accepted: a context that was killed is unavailable for a moment."""

    async def status() -> tuple[int, str]:
        answer = await shop.post(path, body, **headers)
        return answer.status_code, answer.text

    await eventually(status, lambda answer: answer[0] in {200, 201}, path)


async def place(shop: Shop, order_id: str, payment: str) -> None:
    """Place an order of two mugs."""
    body = {
        "order_id": order_id,
        "customer_id": "ada",
        "lines": [{"sku": "MUG", "quantity": 2}],
        "payment_method": payment,
    }
    await insist(shop, "/v1/orders", body, Idempotency_Key=order_id)


async def given_up_while_paying(shop: Shop, books: Books) -> str:
    """The order whose time was up before the provider decided; a slow machine may not even ask in time."""
    for number in itertools.count(1):
        order_id = f"late-{number}"
        await place(shop, order_id, "tok_late_6000")
        await shop.order_becomes(order_id, "cancelled")
        await shop.stage_becomes(order_id, "cancelled")
        if any(payment["order_id"] == order_id for payment in await books.payments()):
            return order_id
    raise AssertionError


async def test_every_path_ends_as_it_should(stack: EmbeddedStack) -> None:
    """Delivered and partly returned; declined; timed out and approved late; cancelled by the customer."""
    books = Books(stack.settings.provider_url)
    async with Shop(stack.url, bearer(stack)) as shop:
        await shop.stock("MUG", 100, price=500)
        await shop.customer("ada")
        async with killed_at_every_step(stack) as kills:
            await place(shop, "whole", "tok_approve")
            await shop.stage_becomes("whole", "awaiting-dispatch")
            parcel = {"carrier": "DHL", "tracking": "D1"}
            await insist(shop, "/v1/shipments/whole/dispatch", parcel, Idempotency_Key="dispatch")
            await shop.order_becomes("whole", "dispatched")
            await insist(shop, "/v1/shipments/whole/deliver", Idempotency_Key="deliver")
            await shop.stage_becomes("whole", "completed")
            back = {"lines": [{"sku": "MUG", "quantity": 1}], "reason": "chipped"}
            await insist(shop, "/v1/orders/whole/return", back, Idempotency_Key="return")
            await insist(shop, "/v1/shipments/whole/receive-return", Idempotency_Key="received")
            await eventually(
                lambda: shop.get("/v1/orders/whole"),
                lambda order: (
                    order["payment"]["refunded"] == 500 and order["returns"][0]["status"] == "accepted"
                ),
                "returned",
            )

            await place(shop, "declined", "tok_decline")
            await place(shop, "cancelled", "tok_approve")
            await shop.order_becomes("cancelled", "confirmed")
            reason = {"reason": "changed my mind"}
            await insist(shop, "/v1/orders/cancelled/cancel", reason, Idempotency_Key="cancel")
            for order_id in ("declined", "cancelled"):
                await shop.order_becomes(order_id, "cancelled")
                await shop.stage_becomes(order_id, "cancelled")
        # Only now: a payment time-out that is short would end the other orders on a slow machine.
        stack._environ["ORDERFOLD_PAYMENT_TIMEOUT"] = "3"
        await stack.restart("contexts")
        await stack.ready()
        async with killed_at_every_step(stack) as late_kills:
            late = await given_up_while_paying(shop, books)
        kills += late_kills
        assert len(kills) >= 12

        await shop.stock_becomes("MUG", on_hand=99, reserved=0, available=99)
    payments = {payment["order_id"]: payment for payment in await books.payments()}
    assert (payments["whole"]["captured"], payments["whole"]["refunded"]) == (1000, 500)
    assert payments["declined"]["status"] == "declined"
    assert {payments[order_id]["status"] for order_id in (late, "cancelled")} == {"voided"}
    await books.close()
