"""The saga's store is gone or older: it receives all again, and nothing is charged, cancelled or sent twice.

With it go JetStream's and MongoDB's folders, so that the facts of all contexts reach the new saga fresh, from
the stores, in whatever order their logs are read.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.support.deadlines import whole_run
from tests.support.shop import Shop, eventually
from tests.system.e2e.commands import orderfold
from tests.system.e2e.conftest import bearer

pytestmark = [pytest.mark.slow, whole_run]

STAGES = ("confirmed", "dispatched", "completed", "cancelled", "returned")
OF_EACH = 20
AT_ONCE = 10
PARCEL = {"carrier": "Royal Mail", "tracking": "RM1"}


def stack_on(folder: Path, payment_timeout: str = "900") -> EmbeddedStack:
    """A stack that gives unpaid orders up after so many seconds."""
    return EmbeddedStack(folder, port=free_port(), environ={"ORDERFOLD_PAYMENT_TIMEOUT": payment_timeout})


async def fill(shop: Shop) -> None:
    """Orders at every stage."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(stage: str, number: int) -> None:
        async with room:
            await lead_to(shop, f"{stage}-{number}", stage)

    await asyncio.gather(*(one(stage, number) for number in range(OF_EACH) for stage in STAGES))


async def lead_to(shop: Shop, order_id: str, stage: str) -> None:
    """Place an order and lead it to its stage."""
    await shop.order(order_id, "ada", {"MUG": 2})
    await shop.stage_becomes(order_id, "awaiting-dispatch")
    if stage == "confirmed":
        return
    if stage == "cancelled":
        await shop.do(f"/v1/orders/{order_id}/cancel", {"reason": "changed my mind"})
        await shop.order_becomes(order_id, "cancelled")
        await shop.stage_becomes(order_id, "cancelled")
        return
    await shop.do(f"/v1/shipments/{order_id}/dispatch", PARCEL)
    await shop.order_becomes(order_id, "dispatched")
    if stage == "dispatched":
        await shop.stage_becomes(order_id, "dispatched")
        return
    await shop.do(f"/v1/shipments/{order_id}/deliver")
    await shop.order_becomes(order_id, "completed")
    if stage == "returned":
        wanted = {"lines": [{"sku": "MUG", "quantity": 2}], "reason": "chipped"}
        await shop.do(f"/v1/orders/{order_id}/return", wanted)
        await shop.do(f"/v1/shipments/{order_id}/receive-return")
        await shop.order_becomes(order_id, "returned")


class Seen:
    """What clients, the warehouse and the provider say of all orders."""

    def __init__(self, stack: EmbeddedStack, shop: Shop) -> None:
        self._stack = stack
        self._shop = shop

    async def orders(self) -> dict[str, Any]:
        """Each order's document, without what tells when it was last written."""
        found: dict[str, Any] = {}
        query: dict[str, Any] = {"limit": 200}
        while True:
            page = await self._shop.get("/v1/orders", **query)
            for order in page["items"]:
                found[order["order_id"]] = order
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    async def stages(self) -> dict[str, str]:
        """Where each order's fulfilment is."""
        found: dict[str, str] = {}
        query: dict[str, Any] = {"limit": 200}
        while True:
            page = await self._shop.get("/v1/fulfilments", **query)
            found |= {saga["order_id"]: saga["stage"] for saga in page["items"]}
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    async def stuck(self) -> list[Any]:
        """Fulfilments that wait for an operator."""
        return list((await self._shop.get("/v1/fulfilments", stuck="true"))["items"])

    async def stock(self) -> dict[str, Any]:
        return await self._shop.get("/v1/stock/MUG")

    async def books(self) -> list[Any]:
        """Every entry of the provider's ledger: what it was asked to do, and when."""
        async with httpx.AsyncClient(base_url=self._stack.settings.provider_url, timeout=60) as provider:
            return list((await provider.get("/ledger")).json()["entries"])


@pytest.mark.parametrize("left", ["nothing", "an older store"])
async def test_a_saga_without_its_store_hears_all_again_and_changes_nothing(
    tmp_path: Path, left: str
) -> None:
    older = left == "an older store"
    folder, copy = tmp_path / "data", tmp_path / "older.db"
    saga = folder / "stores" / "fulfilment.db"
    async with stack_on(folder) as stack, Shop(stack.url, bearer(stack)) as shop:
        await shop.stock("MUG", 10_000)
        await shop.customer("ada")
        await lead_to(shop, "first", "completed")
    if older:
        await asyncio.to_thread(shutil.copy2, saga, copy)
    async with stack_on(folder) as stack, Shop(stack.url, bearer(stack)) as shop:
        await fill(shop)
        seen = Seen(stack, shop)
        assert (await seen.stuck(), await orderfold_is_clean(stack)) == ([], True)
        orders, stages, stock, books = (
            await seen.orders(),
            await seen.stages(),
            await seen.stock(),
            await seen.books(),
        )
    for part in ("nats", "mongo"):
        await asyncio.to_thread(shutil.rmtree, folder / part)
    for file in saga.parent.glob("fulfilment.db*"):
        file.unlink()
    if older:
        copy.replace(saga)

    # A saga that did not hear of a payment would cancel its order at once.
    async with stack_on(folder, "1") as stack, Shop(stack.url, bearer(stack)) as shop:
        seen = Seen(stack, shop)
        await eventually(seen.stages, lambda found: found == stages, "every fulfilment is where it was")
        assert (await seen.stuck(), await orderfold_is_clean(stack)) == ([], True)
        assert await seen.orders() == orders
        assert await seen.stock() == stock
        assert await seen.books() == books
        # It works: what was confirmed before can be sent and is charged once.
        await shop.do("/v1/shipments/confirmed-0/dispatch", PARCEL)
        await eventually(
            lambda: shop.get("/v1/orders/confirmed-0"),
            lambda order: (order["status"], order["payment"]["captured"]) == ("dispatched", order["total"]),
            "it is dispatched and charged",
        )
        assert len(await seen.books()) == len(books) + 1


async def orderfold_is_clean(stack: EmbeddedStack) -> bool:
    """Whether `orderfold verify` finds nothing."""
    return "clean: " in await orderfold(stack, "verify", "--wait", "120")
