"""Clients of a stack under rebuilds: orders that keep coming in, and one who checks every answer it gets."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.support.deadlines import HOLDS_SECONDS
from tests.support.shop import Shop, eventually

SKUS = 20
WAIT = {"Prefer": "wait=30"}
"""How long an answer may wait for its token: a 503 after that is an error like any other."""


AT_ONCE = 4
"""Customers who buy one thing after the other, where no rate is given."""


class Orders:
    """Orders placed at a rate, whether or not those before them were answered.

    Without one, each customer places the next when the last one is confirmed: as fast as the machine can.
    """

    def __init__(self, shop: Shop, rate: float | None = None) -> None:
        self._shop = shop
        self._rate = rate
        self.placed = 0
        self.taken: list[float] = []
        """Seconds from each request to its 201."""
        self.wrong: list[str] = []

    async def run(self) -> None:
        """Trade until cancelled; what is under way then is answered first."""
        if self._rate is None:
            await self._buy_one_after_the_other()
        else:
            await self._place_at(self._rate)

    async def _buy_one_after_the_other(self) -> None:
        closed = asyncio.Event()

        async def customer() -> None:
            while not closed.is_set():
                number, self.placed = self.placed, self.placed + 1
                await self._place(number)
                await self._is_confirmed(number)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(customer())
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                closed.set()

    async def _is_confirmed(self, number: int) -> None:
        deadline = time.monotonic() + HOLDS_SECONDS
        while not self.wrong:
            shown = await self._shop.http.get(f"/v1/orders/traffic-{number}")
            if shown.status_code == 200 and shown.json()["status"] != "placed":
                return
            if shown.status_code not in {200, 404} or time.monotonic() > deadline:
                self.wrong.append(f"order {number} is not confirmed: {shown.status_code} {shown.text}")
            await asyncio.sleep(0.05)

    async def _place_at(self, rate: float) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    group.create_task(self._place(self.placed))
                    self.placed += 1
                    await asyncio.sleep(max(0.0, began + self.placed / rate - time.monotonic()))
            except asyncio.CancelledError:
                return

    async def _place(self, number: int) -> None:
        began = time.monotonic()
        body = {
            "order_id": f"traffic-{number}",
            "customer_id": "ada",
            "lines": [{"sku": f"T{number % SKUS}", "quantity": 1}],
            "payment_method": "tok_approve",
        }
        try:
            answer = await self._shop.http.post("/v1/orders", json=body)
        except Exception as error:  # noqa: BLE001 - whatever it is, a client did not get its answer
            self.wrong.append(f"order {number}: {error!r}")
            return
        if answer.status_code == 201:
            self.taken.append(time.monotonic() - began)
        else:
            self.wrong.append(f"order {number}: {answer.status_code} {answer.text}")


class Client:
    """Changes something in every context and asks for it with the token it got: it must be there at once.

    What comes without a token of its own (sales, fulfilments) must at least never be older than it was.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._received = 0
        self._sold = 0
        self._fulfilled: str | None = None
        self.answers = 0
        self.wrong: list[str] = []

    async def run(self) -> None:
        """Change and ask until cancelled."""
        for number in itertools.count(1):
            try:
                await self._round(number)
            except Exception as error:  # noqa: BLE001 - counted, and told in the end
                self.wrong.append(f"round {number}: {error!r}")

    async def _round(self, number: int) -> None:
        order, price, email = f"checked-{number}", 100 + number, f"{number}@example.org"
        self._received += 1
        await self._check("/v1/stock/OWN/receive", {"quantity": 1}, "/v1/stock/OWN", on_hand=self._received)
        await self._check(
            "/v1/products/OWN/reprice", {"unit_price": price}, "/v1/products/OWN", unit_price=price
        )
        await self._check(
            "/v1/customers/own/change-email", {"email": email}, "/v1/customers/own", email=email
        )
        await self._check("/v1/orders", _order(order), f"/v1/orders/{order}", order_id=order)
        assert (await self._get("/v1/orders", self._token, limit="1"))["items"]
        await self._sales()
        await self._dispatched(order)

    async def _check(self, command: str, body: Any, query: str, **wanted: Any) -> None:
        done = await self._shop.http.post(command, json=body)
        assert done.status_code in {200, 201}, (command, done.status_code, done.text)
        self._token = done.headers["Consistency-Token"]
        found = await self._get(query, self._token)
        assert {name: found.get(name) for name in wanted} == wanted, (query, wanted, found)

    async def _get(self, query: str, token: str | None = None, **params: str) -> dict[str, Any]:
        headers = WAIT if token is None else {**WAIT, "Consistency-Token": token}
        answer = await self._shop.http.get(query, headers=headers, params=params)
        assert answer.status_code == 200, (query, token, answer.status_code, answer.text)
        self.answers += 1
        return dict(answer.json())

    async def _sales(self) -> None:
        today = datetime.now(UTC).date()
        days = {"from": str(today - timedelta(days=1)), "to": str(today)}
        found = await self._get("/v1/sales/daily", **days)
        sold = sum(day["orders"] for day in found["items"])
        assert sold >= self._sold, ("sales", self._sold, sold)
        self._sold = sold

    async def _dispatched(self, order: str) -> None:
        """An order is dispatched once its saga is so far; what was shown of a saga stays to be seen."""
        while (shown := await self._shop.http.get(f"/v1/shipments/{order}")).status_code == 404:
            await asyncio.sleep(0.1)
        assert shown.status_code == 200, (order, shown.status_code, shown.text)
        sent = {"carrier": "Pigeon", "tracking": order}
        await self._check(
            f"/v1/shipments/{order}/dispatch", sent, f"/v1/shipments/{order}", status="dispatched"
        )
        if self._fulfilled is not None:
            await self._get(f"/v1/fulfilments/{self._fulfilled}")
        answer = await self._shop.http.get(f"/v1/fulfilments/{order}")
        self._fulfilled = order if answer.status_code == 200 else self._fulfilled


def _order(order: str) -> dict[str, Any]:
    return {
        "order_id": order,
        "customer_id": "own",
        "lines": [{"sku": "T0", "quantity": 1}],
        "payment_method": "tok_approve",
    }


async def open_shop(shop: Shop) -> None:
    """Have what the clients buy; returns when ordering has heard of all of it."""
    for person in ("ada", "own"):
        await shop.customer(person)
    for sku in (*(f"T{number}" for number in range(SKUS)), "OWN"):
        product = {"sku": sku, "name": sku, "unit_price": 100, "currency": "GBP"}
        assert (await shop.http.post("/v1/products", json=product)).status_code == 201
    for number in range(SKUS):
        received = await shop.http.post(f"/v1/stock/T{number}/receive", json={"quantity": 1_000_000})
        assert received.status_code == 200, received.text
        order = {**_order(f"first-{number}"), "lines": [{"sku": f"T{number}", "quantity": 1}]}
        await eventually(partial(_placed, shop, order), bool, f"T{number} on sale")


async def _placed(shop: Shop, order: dict[str, Any]) -> bool:
    return (await shop.http.post("/v1/orders", json=order)).status_code == 201


@asynccontextmanager
async def running(*clients: Orders | Client) -> AsyncIterator[Callable[[], list[str]]]:
    """Clients at work meanwhile; yields what tells everything that was wrong so far."""
    tasks = [asyncio.create_task(client.run()) for client in clients]

    def wrong() -> list[str]:
        for task in tasks:
            if task.done():
                task.result()
        return [text for client in clients for text in client.wrong]

    try:
        yield wrong
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
