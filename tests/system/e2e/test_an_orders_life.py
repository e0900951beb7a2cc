"""Whole lives of orders, from HTTP to HTTP, on real servers."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from infra.embedded.stack import EmbeddedStack
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.shop import Shop, eventually
from tests.system.e2e.conftest import bearer
from tests.system.e2e.provider import charged

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.fallback]


async def test_an_order_becomes_a_delivered_parcel(shop: Shop, provider: httpx.AsyncClient) -> None:
    """Placed, confirmed, dispatched, delivered: completed, paid once, and out of stock by what was sent."""
    await shop.stock("LIFE-MUG", 10, price=950)
    await shop.customer("life")
    placed = await shop.order("life-1", "life", {"LIFE-MUG": 3})
    assert placed["order_id"] == "life-1"

    order = await shop.order_becomes("life-1", "confirmed")
    assert (order["total"], order["currency"]) == (2850, "GBP")
    await shop.stage_becomes("life-1", "awaiting-dispatch")
    await shop.do("/v1/shipments/life-1/dispatch", {"carrier": "Royal Mail", "tracking": "RM1"})
    await shop.order_becomes("life-1", "dispatched")
    await shop.do("/v1/shipments/life-1/deliver")
    await shop.order_becomes("life-1", "completed")
    await shop.stage_becomes("life-1", "completed")

    order = await shop.get("/v1/orders/life-1")
    assert order["payment"] == {"status": "captured", "authorized": 2850, "captured": 2850, "refunded": 0}
    assert order["shipment"]["status"] == "delivered"
    await shop.stock_becomes("LIFE-MUG", on_hand=7, reserved=0, available=7)
    assert (await charged(provider, "life-1"))["captured"] == 2850


async def test_stock_is_of_products_from_the_moment_they_are_added(shop: Shop) -> None:
    """A client that adds a product and receives it right away need not wait for anything."""
    refused = await shop.http.post("/v1/stock/NO-SUCH-MUG/receive", json={"quantity": 1})
    assert refused.status_code == 404, refused.text
    assert "NO-SUCH-MUG" in refused.json()["detail"]
    adjusted = {"delta": 1, "reason": "found"}
    assert (await shop.http.post("/v1/stock/NO-SUCH-MUG/adjust", json=adjusted)).status_code == 404
    for number in range(20):
        product = {"sku": f"NEW-{number}", "name": "New mug", "unit_price": 950, "currency": "GBP"}
        assert (await shop.http.post("/v1/products", json=product)).status_code == 201
        received = await shop.http.post(f"/v1/stock/NEW-{number}/receive", json={"quantity": 1})
        assert received.status_code == 200, received.text


async def test_history_tells_every_context_in_causal_order(shop: Shop) -> None:
    """What happened to an order reads from cause to effect, over all contexts."""
    await shop.stock("HIST-MUG", 10)
    await shop.customer("hist")
    await shop.order("hist-1", "hist", {"HIST-MUG": 1})
    await shop.order_becomes("hist-1", "confirmed")

    history = await shop.get("/v1/orders/hist-1/history")
    names = [item["event"] for item in history["items"]]
    for cause, effect in (
        ("ordering.OrderPlaced", "inventory.StockReserved"),
        ("inventory.StockReserved", "payments.PaymentAuthorized"),
        ("payments.PaymentAuthorized", "ordering.OrderConfirmed"),
    ):
        assert names.index(cause) < names.index(effect), names
    actors = {item["event"]: item["actor"] for item in history["items"]}
    assert actors.pop("ordering.OrderPlaced") == "shop"
    assert set(actors.values()) == {"fulfilment"}, actors


async def test_a_declined_payment_cancels_the_order_and_frees_the_stock(shop: Shop) -> None:
    """Nothing is held for an order that was not paid."""
    await shop.stock("DECL-MUG", 5)
    await shop.customer("decl")
    await shop.order("decl-1", "decl", {"DECL-MUG": 5}, payment="tok_decline")
    order = await shop.order_becomes("decl-1", "cancelled")
    assert "declined" in order["cancelled_reason"]
    await shop.stage_becomes("decl-1", "cancelled")
    await shop.stock_becomes("DECL-MUG", available=5)


async def test_a_payment_that_fails_twice_is_charged_once(shop: Shop, provider: httpx.AsyncClient) -> None:
    """A flaky provider costs patience, not money."""
    await shop.stock("FLAKY-MUG", 5, price=700)
    await shop.customer("flaky")
    await shop.order("flaky-1", "flaky", {"FLAKY-MUG": 2}, payment="tok_flaky")
    await shop.order_becomes("flaky-1", "confirmed")
    assert (await charged(provider, "flaky-1"))["authorized"] == 1400


async def test_a_late_approval_in_time_confirms_the_order(shop: Shop) -> None:
    """The provider's signed webhook brings the answer it did not give at once."""
    await shop.stock("LATE-MUG", 5)
    await shop.customer("late")
    await shop.order("late-1", "late", {"LATE-MUG": 1}, payment="tok_late_500")
    await shop.order_becomes("late-1", "confirmed")
    history = await shop.get("/v1/orders/late-1/history")
    [authorized] = [item for item in history["items"] if item["event"] == "payments.PaymentAuthorized"]
    assert authorized["actor"] == "payment-provider"


@pytest.mark.parametrize("token", ["tok_timeout_6000", "tok_late_6000"])
async def test_an_approval_after_the_time_limit_is_voided(hasty_stack: EmbeddedStack, token: str) -> None:
    """The order was given up; the money held for it is let go."""
    key = token.replace("_", "-")
    async with (
        Shop(hasty_stack.url, bearer(hasty_stack)) as shop,
        httpx.AsyncClient(base_url=hasty_stack.settings.provider_url, timeout=HOLDS_SECONDS) as provider,
    ):
        await shop.stock(f"{key}-mug", 5)
        await shop.customer(key)
        for number in itertools.count(1):
            order_id = f"{key}-{number}"
            await shop.order(order_id, key, {f"{key}-mug": 1}, payment=token)
            order = await shop.order_becomes(order_id, "cancelled")
            assert "timed out" in order["cancelled_reason"]
            await shop.stage_becomes(order_id, "cancelled")
            await shop.stock_becomes(f"{key}-mug", available=5)
            # A slow machine may not even ask the provider before the time is up.
            if await charged(provider, order_id):
                break
        books = await eventually(
            lambda: charged(provider, order_id), lambda entry: entry.get("status") == "voided", "voided"
        )
    assert books["captured"] == 0


async def test_a_customer_may_cancel_while_paying(shop: Shop, provider: httpx.AsyncClient) -> None:
    """The answer that comes after the cancellation is voided."""
    await shop.stock("PAYC-MUG", 5)
    await shop.customer("payc")
    await shop.order("payc-1", "payc", {"PAYC-MUG": 2}, payment="tok_late_1500")
    await shop.do("/v1/orders/payc-1/cancel", {"reason": "changed my mind"})
    order = await shop.order_becomes("payc-1", "cancelled")
    assert order["cancelled_reason"] == "changed my mind"
    await shop.stage_becomes("payc-1", "cancelled")
    await shop.stock_becomes("PAYC-MUG", available=5)
    assert (await charged(provider, "payc-1")).get("captured", 0) == 0


async def test_a_customer_may_cancel_after_confirmation(shop: Shop, provider: httpx.AsyncClient) -> None:
    """Payment voided, stock free, parcel stopped, and the sale taken back on its own day."""
    await shop.stock("CONF-MUG", 5, price=333)
    # The only customer there, so that no other test's sales are counted.
    await shop.customer("conf", country="IS")
    await shop.order("conf-1", "conf", {"CONF-MUG": 3})
    order = await shop.order_becomes("conf-1", "confirmed")
    day = order["placed_at"][:10]
    await shop.stage_becomes("conf-1", "awaiting-dispatch")

    async def sold() -> list[tuple[int, int]]:
        sales = await shop.get("/v1/sales/daily", **{"from": day, "to": day, "country": "IS"})
        return [(it["units"], it["revenue"]["GBP"]) for it in sales["items"]]

    await eventually(sold, [(3, 999)].__eq__, "the sale is counted")
    await shop.do("/v1/orders/conf-1/cancel", {"reason": "found it at home"})
    await shop.stage_becomes("conf-1", "cancelled")
    order = await shop.get("/v1/orders/conf-1")
    assert (order["payment"]["status"], order["shipment"]["status"]) == ("voided", "cancelled")
    await shop.stock_becomes("CONF-MUG", available=5)
    assert (await charged(provider, "conf-1"))["status"] == "voided"
    # A day on which nothing is left sold is left out.
    await eventually(sold, [].__eq__, "the sale is taken back")


async def test_some_lines_may_come_back(shop: Shop, provider: httpx.AsyncClient) -> None:
    """A return restocks and refunds what came back, and no more."""
    await shop.stock("RET-A", 10, price=500)
    await shop.stock("RET-B", 10, price=200)
    await shop.customer("ret")
    await shop.order("ret-1", "ret", {"RET-A": 4, "RET-B": 1})
    await shop.stage_becomes("ret-1", "awaiting-dispatch")
    await shop.do("/v1/shipments/ret-1/dispatch", {"carrier": "DHL", "tracking": "D1"})
    await shop.order_becomes("ret-1", "dispatched")
    await shop.do("/v1/shipments/ret-1/deliver")
    await shop.stage_becomes("ret-1", "completed")

    assert (await shop.post("/v1/shipments/ret-1/receive-return")).status_code == 409
    await shop.do(
        "/v1/orders/ret-1/return", {"lines": [{"sku": "RET-A", "quantity": 3}], "reason": "chipped"}
    )
    await shop.do("/v1/shipments/ret-1/receive-return")
    assert (await shop.post("/v1/shipments/ret-1/receive-return")).status_code == 409
    order = await eventually(
        lambda: shop.get("/v1/orders/ret-1"),
        lambda order: order["payment"]["refunded"] == 1500,
        "refunded",
    )
    assert order["status"] == "completed"
    stock = await eventually(
        lambda: shop.get("/v1/stock/RET-A"), lambda stock: stock["on_hand"] == 9, "restocked"
    )
    assert stock["available"] == 9
    too_much = {"lines": [{"sku": "RET-A", "quantity": 2}], "reason": "again"}
    assert (await shop.post("/v1/orders/ret-1/return", too_much)).status_code == 409
    assert (await charged(provider, "ret-1"))["refunded"] == 1500


async def test_each_return_is_refunded_for_what_came_of_it(shop: Shop, provider: httpx.AsyncClient) -> None:
    """Of two open returns one parcel comes, a unit of it to write off; the other is withdrawn."""
    await shop.stock("PART-A", 10, price=10_000)
    await shop.stock("PART-B", 10, price=500)
    await shop.customer("part")
    await shop.order("part-1", "part", {"PART-A": 1, "PART-B": 3})
    await shop.stage_becomes("part-1", "awaiting-dispatch")
    await shop.do("/v1/shipments/part-1/dispatch", {"carrier": "DHL", "tracking": "D1"})
    await shop.do("/v1/shipments/part-1/deliver")
    await shop.stage_becomes("part-1", "completed")

    async def ask_for(return_id: str, **units: int) -> None:
        lines = [{"sku": f"PART-{name}", "quantity": quantity} for name, quantity in units.items()]
        await shop.do(
            "/v1/orders/part-1/return", {"return_id": return_id, "lines": lines, "reason": "chipped"}
        )

    async def refunded(amount: int) -> dict[str, Any]:
        return await eventually(
            lambda: shop.get("/v1/orders/part-1"),
            lambda order: order["payment"]["refunded"] == amount,
            f"{amount} refunded",
        )

    await ask_for("dear", A=1)
    await ask_for("cheap", B=3)
    unnamed = await shop.post("/v1/shipments/part-1/receive-return")
    assert unnamed.status_code == 409
    assert "dear, cheap" in unnamed.json()["detail"]
    came = {"return_id": "cheap", "lines": [{"sku": "PART-B", "restocked": 1, "written_off": 1}]}
    await shop.do("/v1/shipments/part-1/receive-return", came)
    await shop.do("/v1/shipments/part-1/receive-return", came)
    other = {"return_id": "cheap", "lines": [{"sku": "PART-B", "restocked": 2}]}
    assert (await shop.post("/v1/shipments/part-1/receive-return", other)).status_code == 409
    await refunded(1_000)
    await shop.stock_becomes("PART-B", on_hand=8, reserved=0, available=8)

    await shop.do("/v1/orders/part-1/withdraw-return", {"return_id": "dear"})
    await ask_for("both", A=1, B=1)
    await shop.do("/v1/orders/part-1/refuse-return", {"return_id": "both", "reason": "not complete"})
    await ask_for("rest", A=1, B=1)
    await shop.do("/v1/shipments/part-1/receive-return")
    await shop.order_becomes("part-1", "returned")
    order = await refunded(11_500)
    assert [(it["return_id"], it["status"]) for it in order["returns"]] == [
        ("dear", "withdrawn"),
        ("cheap", "accepted"),
        ("both", "refused"),
        ("rest", "accepted"),
    ]
    assert (await charged(provider, "part-1"))["refunded"] == order["total"] == 11_500
    history = await shop.get("/v1/orders/part-1/history")
    names = {item["event"] for item in history["items"]}
    assert names > {"ordering.ReturnReceived", "ordering.ReturnWithdrawn", "ordering.ReturnRefused"}


async def test_what_was_dispatched_is_returned_and_not_cancelled(shop: Shop) -> None:
    await shop.stock("GONE-MUG", 5)
    await shop.customer("gone")
    await shop.order("gone-1", "gone", {"GONE-MUG": 1})
    await shop.stage_becomes("gone-1", "awaiting-dispatch")
    await shop.do("/v1/shipments/gone-1/dispatch", {"carrier": "DHL", "tracking": "D1"})
    await shop.order_becomes("gone-1", "dispatched")
    answer = await shop.post("/v1/orders/gone-1/cancel", {"reason": "changed my mind"})
    assert answer.status_code == 409
    assert "a return is the way" in answer.json()["detail"]


async def test_the_last_units_are_sold_exactly_once(shop: Shop, provider: httpx.AsyncClient) -> None:
    """300 orders at once for the last 20 units of three SKUs: 20 are confirmed, 280 are out of stock."""
    skus = ("LAST-A", "LAST-B", "LAST-C")
    for sku in skus:
        await shop.stock(sku, 20)
    await shop.customer("last")
    seen: list[int] = []

    async def place(number: int) -> None:
        await shop.order(f"last-{number}", "last", dict.fromkeys(skus, 1))

    async def watch(done: asyncio.Event) -> None:
        while not done.is_set():
            seen.extend([(await shop.get(f"/v1/stock/{sku}"))["available"] for sku in skus])
            await asyncio.sleep(0.05)

    done = asyncio.Event()
    watching = asyncio.create_task(watch(done))
    await asyncio.gather(*(place(number) for number in range(300)))

    async def outcomes() -> dict[str, int]:
        counted: dict[str, int] = {}
        for number in range(300):
            order = await shop.get(f"/v1/orders/last-{number}")
            counted[order["status"]] = counted.get(order["status"], 0) + 1
        return counted

    counted = await eventually(outcomes, lambda counted: "placed" not in counted, "every order decided")
    done.set()
    await watching
    assert counted == {"confirmed": 20, "cancelled": 280}
    assert min(seen) >= 0
    for sku in skus:
        await shop.stock_becomes(sku, on_hand=20, reserved=20, available=0)
    books = (await provider.get("/ledger")).json()["payments"]
    held = [p for p in books if p["order_id"].startswith("last-") and p["status"] == "authorized"]
    assert len(held) == 20
