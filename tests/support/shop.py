"""A shop that uses Orderfold as its clients do: over HTTP, waiting on positions, never on time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from gateway.ids import new_id
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.examples import ADDRESS

T = TypeVar("T")

LONGEST_WAIT = "wait=30"
"""The longest that may be asked for: a slow machine takes its time."""


async def eventually(
    ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], what: str, seconds: float = HOLDS_SECONDS
) -> T:
    """Ask until the answer is as wanted; fails with the last answer after the deadline."""
    end = time.monotonic() + seconds
    while True:
        answer = await ask()
        if wanted(answer):
            return answer
        assert time.monotonic() < end, f"{what}: {answer!r}"
        await asyncio.sleep(0.05)


class Shop:
    """One client with a token for everything it does."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=HOLDS_SECONDS,
            limits=httpx.Limits(max_connections=400, max_keepalive_connections=64),
        )
        self._tokens: dict[tuple[str, str], str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a command that waits for all this shop has done before."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("Prefer", LONGEST_WAIT)
        if self._tokens:
            sent.setdefault("Consistency-Token", ",".join(self._tokens.values()))
        answer = await self.http.post(path, json=body, headers=sent)
        token = answer.headers.get("Consistency-Token")
        if token:
            context, _, place = token.partition(":")
            self._tokens[context, place.partition(".")[2]] = token
        return answer

    async def do(self, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """Send a command that must be accepted in the end, and is carried out once however often it is sent.

        A machine that is slow, or has only just started, may be too late for it, and then asks to come again.
        """
        headers.setdefault("Idempotency_Key", new_id())
        answer = await eventually(
            lambda: self.post(path, body, **headers), lambda answer: answer.status_code != 503, path
        )
        assert answer.status_code in {200, 201}, (path, answer.status_code, answer.text)
        return dict(answer.json())

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask a question whose answer includes all this shop has done."""
        answer = await self.look(path, **query)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return dict(answer.json())

    async def look(self, path: str, **query: Any) -> httpx.Response:
        """Ask a question until the answer includes all this shop has done; it may be a problem."""
        headers = {"Prefer": LONGEST_WAIT}
        if self._tokens:
            headers["Consistency-Token"] = ",".join(self._tokens.values())
        return await eventually(
            lambda: self.http.get(path, params=query, headers=headers),
            lambda answer: answer.status_code != 503 or "projection-behind" not in answer.text,
            f"{path} after {headers}",
        )

    async def stock(self, sku: str, quantity: int, price: int = 1250, currency: str = "GBP") -> None:
        """Put a product on sale."""
        product = {"sku": sku, "name": f"Product {sku}", "unit_price": price, "currency": currency}
        await self.do("/v1/products", product)
        await self.do(f"/v1/stock/{sku}/receive", {"quantity": quantity})

    async def customer(self, customer_id: str, country: str = "GB") -> None:
        """Register a customer."""
        address = {**ADDRESS, "country": country}
        person = {"name": "Ada Byron", "email": "ada@example.org", "address": address}
        await self.do("/v1/customers", {"customer_id": customer_id, **person})

    async def order(
        self, order_id: str, customer_id: str, lines: dict[str, int], payment: str = "tok_approve"
    ) -> dict[str, Any]:
        """Place an order."""
        return await self.do(
            "/v1/orders",
            {
                "order_id": order_id,
                "customer_id": customer_id,
                "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()],
                "payment_method": payment,
            },
        )

    async def order_becomes(self, order_id: str, status: str) -> dict[str, Any]:
        """Wait until an order has a status."""
        return await eventually(
            lambda: self.get(f"/v1/orders/{order_id}"),
            lambda order: order["status"] == status,
            f"order {order_id} {status}",
        )

    async def stage_becomes(self, order_id: str, stage: str) -> dict[str, Any]:
        """Wait until an order's fulfilment is at a stage."""

        async def ask() -> dict[str, Any]:
            answer = await self.look(f"/v1/fulfilments/{order_id}")
            return dict(answer.json()) if answer.status_code == 200 else {"stage": None}

        return await eventually(ask, lambda saga: saga["stage"] == stage, f"fulfilment {order_id} {stage}")

    async def stock_becomes(self, sku: str, **figures: int) -> None:
        """Wait until a SKU's stock has these figures: its document follows an order's at its own pace."""
        await eventually(
            lambda: self.get(f"/v1/stock/{sku}"),
            lambda stock: figures.items() <= stock.items(),
            f"stock of {sku} {figures}",
        )
