"""What is recorded is what the provider did, whatever it does and whatever webhooks say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from rich.console import Console

from gateway.cli import verify
from infra.embedded.stack import EmbeddedStack
from infra.security.webhook_signature import read_secret, sign
from infra.sockets import free_port
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.shop import Shop, eventually
from tests.system.e2e.conftest import bearer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


class Provided:
    """A shop, its payment provider, and somebody who can sign webhooks."""

    def __init__(self, stack: EmbeddedStack, shop: Shop, provider: httpx.AsyncClient) -> None:
        self.stack = stack
        self.shop = shop
        self.provider = provider

    async def order(self, order_id: str, payment: str, sku: str = "CUP") -> None:
        await self.shop.order(order_id, "ada", {sku: 2}, payment)

    async def webhook(self, order_id: str, **said: Any) -> int:
        """Send a genuine webhook; the status of its answer."""
        data = {"order_id": order_id, "amount": 1, "currency": "EUR", "payment_method": "tok_approve"}
        body = json.dumps({"type": "payment.authorized", "data": data, **said}).encode()
        key = read_secret(self.stack.folder.webhook_secret)
        headers = sign(key, f"msg_{order_id}", datetime.now(UTC), body)
        headers["Content-Type"] = "application/json"
        answer = await self.shop.http.post("/v1/webhooks/payments", content=body, headers=headers)
        return answer.status_code

    async def entries(self, order_id: str) -> list[tuple[str, int]]:
        """What the provider entered for an order: kind and amount."""
        ledger = (await self.provider.get("/ledger")).json()
        return [(it["kind"], it["amount"]) for it in ledger["entries"] if it["order_id"] == order_id]

    async def entries_become(self, order_id: str, *wanted: tuple[str, int]) -> None:
        await eventually(
            lambda: self.entries(order_id), lambda found: found == list(wanted), f"books of {order_id}"
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provided(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provided]:
    """A stack that waits two seconds for its provider, and does not compare the books by itself."""
    folder: Path = tmp_path_factory.mktemp("provided") / "data"
    environ = {"ORDERFOLD_PROVIDER_TIMEOUT": "2", "ORDERFOLD_RECONCILE_EVERY": "0"}
    async with (
        EmbeddedStack(folder, port=free_port(), environ=environ) as stack,
        Shop(stack.url, bearer(stack)) as shop,
        httpx.AsyncClient(base_url=stack.settings.provider_url, timeout=HOLDS_SECONDS) as provider,
    ):
        await shop.stock("CUP", 100, price=500)
        await shop.stock("RARE", 1, price=500)
        await shop.customer("ada")
        yield Provided(stack, shop, provider)


async def test_a_genuine_webhook_that_comes_before_the_order_asks_for_nothing(provided: Provided) -> None:
    """It says 1 EUR; the order is for 10.00 GBP."""
    assert await provided.webhook("overtaken") == 204
    assert await provided.entries("overtaken") == []
    await provided.order("overtaken", "tok_approve")
    assert await provided.webhook("overtaken") == 204
    order = await provided.shop.order_becomes("overtaken", "confirmed")
    assert (order["payment"]["authorized"], order["currency"]) == (1000, "GBP")
    await provided.entries_become("overtaken", ("authorized", 1000))


async def test_a_genuine_webhook_about_an_order_without_a_payment_asks_for_nothing(
    provided: Provided,
) -> None:
    """One that there is not, and one that was cancelled for lack of stock."""
    await provided.order("unstocked", "tok_approve", "RARE")
    await provided.shop.order_becomes("unstocked", "cancelled")
    for order_id in ("unstocked", "nobodys"):
        for kind in ("payment.authorized", "payment.captured", "payment.invented"):
            assert await provided.webhook(order_id, type=kind) == 204
        assert await provided.entries(order_id) == []


@pytest.mark.parametrize("token", ["tok_slow_5000", "tok_timeout_5000", "tok_early_5000"])
async def test_a_customer_cancels_while_the_provider_has_not_answered(provided: Provided, token: str) -> None:
    """It approves after our time-out; whatever comes first, nothing stays held."""
    order_id = f"left-{token.split('_')[1]}"
    await provided.order(order_id, token)
    await provided.shop.stage_becomes(order_id, "authorizing")
    await provided.shop.do(f"/v1/orders/{order_id}/cancel", {"reason": "too slow"})
    await provided.shop.order_becomes(order_id, "cancelled")
    await provided.shop.stage_becomes(order_id, "cancelled")
    await provided.entries_become(order_id, ("authorized", 1000), ("voided", 1000))


@pytest.mark.parametrize("token", ["tok_early_500", "tok_noisy"])
async def test_webhooks_before_the_answer_twice_and_out_of_order_change_nothing(
    provided: Provided, token: str
) -> None:
    order_id = f"told-{token.split('_')[1]}"
    await provided.order(order_id, token)
    order = await provided.shop.order_becomes(order_id, "confirmed")
    assert order["payment"] == {"status": "authorized", "authorized": 1000, "captured": 0, "refunded": 0}
    assert await provided.entries(order_id) == [("authorized", 1000)]


@pytest.mark.parametrize(("token", "amount"), [("tok_otheramount", 1), ("tok_othercurrency", 1000)])
async def test_an_authorization_of_something_else_is_let_go_and_confirms_nothing(
    provided: Provided, token: str, amount: int
) -> None:
    order_id = token.replace("_", "-")
    await provided.order(order_id, token)
    await provided.entries_become(order_id, ("authorized", amount), ("voided", amount))
    order = await provided.shop.get(f"/v1/orders/{order_id}")
    assert order["status"] in {"placed", "cancelled"}


async def test_an_authorization_voided_by_hand_is_known_to_be_gone(provided: Provided) -> None:
    await provided.order("by-hand", "tok_approve")
    await provided.shop.order_becomes("by-hand", "confirmed")
    assert (await provided.provider.post("/dashboard/payments/by-hand/void")).status_code == 200
    await eventually(
        lambda: provided.shop.get("/v1/orders/by-hand"),
        lambda order: order["payment"]["status"] == "voided",
        "the payment is voided",
    )


async def test_in_the_end_the_providers_books_are_the_orders(provided: Provided) -> None:
    """After all that was done above; what was added to the books behind our back is found."""
    report = await verify.run(provided.stack.settings, HOLDS_SECONDS, Console(quiet=True))
    assert report.payments.compared, report.payments.problem
    assert [item for item in report.differences if item.subject == "payments"] == []
    foreign = {"order_id": "foreign", "amount": 7, "currency": "GBP", "payment_method": "tok_approve"}
    await provided.provider.post("/payments", json=foreign, headers={"Idempotency-Key": "foreign"})
    report = await verify.run(provided.stack.settings, 1, Console(quiet=True))
    assert [(item.key, item.what) for item in report.differences if item.subject == "payments"] == [
        ("foreign", "there is no such order, and the provider holds 7 GBP")
    ]
