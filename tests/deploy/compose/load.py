"""Customers who order all the time, whatever happens to the stack, and insist on an answer."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

import httpx

from tests.support.deadlines import HOLDS_SECONDS
from tests.support.examples import ADDRESS

SKUS = ("MUG", "PEN", "LAMP", "CLOCK")
ANSWERED = {200, 201}
AGAIN = {429, 502, 503, 504}
"""Answers that ask to send the same again."""
UNHEARD = ("is not registered", "is not on the price list")
"""Why an order is refused that comes before what it is about has been heard of."""
PAUSE = 0.2


class Load:
    """Places orders through the published port, each until it is accepted, by some customers at once."""

    def __init__(self, http: httpx.AsyncClient, customers: int = 3) -> None:
        self._http = http
        self._customers = customers
        self._tasks: list[asyncio.Task[None]] = []
        self.accepted: list[str] = []

    async def __aenter__(self) -> Self:
        for sku in SKUS:
            product = {"sku": sku, "name": f"Product {sku}", "unit_price": 1250, "currency": "GBP"}
            await self.insist("/v1/products", product, f"product-{sku}")
            await self.insist(f"/v1/stock/{sku}/receive", {"quantity": 100_000}, f"stock-{sku}")
        for number in range(self._customers):
            person = {"name": "Ada Byron", "email": "ada@example.org", "address": ADDRESS}
            await self.insist("/v1/customers", {"customer_id": f"c{number}", **person}, f"customer-{number}")
        self._tasks = [asyncio.create_task(self._order(number)) for number in range(self._customers)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        for end in await asyncio.gather(*self._tasks, return_exceptions=True):
            if kind is None and isinstance(end, Exception):
                raise end

    async def _order(self, customer: int) -> None:
        number = 0
        while True:
            number += 1
            order_id = f"c{customer}-{number}"
            order = {
                "order_id": order_id,
                "customer_id": f"c{customer}",
                "lines": [{"sku": SKUS[number % len(SKUS)], "quantity": 1}],
                "payment_method": "tok_approve",
            }
            await self.insist("/v1/orders", order, order_id)
            self.accepted.append(order_id)
            await asyncio.sleep(PAUSE)

    async def insist(self, path: str, body: object, key: str) -> None:
        """Send a command until it is answered well; by its key it is carried out once."""
        end = time.monotonic() + HOLDS_SECONDS
        while True:
            try:
                answer = await self._http.post(path, json=body, headers={"Idempotency-Key": key})
                if answer.status_code in ANSWERED:
                    return
                told = f"{answer.status_code} {answer.text}"
                assert answer.status_code in AGAIN or early(answer), (path, told)
            except httpx.TransportError as error:
                told = repr(error)
            assert time.monotonic() < end, f"{path} {key}: {told}"
            await asyncio.sleep(PAUSE)

    async def goes_on(self, orders: int = 3) -> None:
        """Wait until that many more orders are accepted."""
        wanted = len(self.accepted) + orders
        end = time.monotonic() + HOLDS_SECONDS
        while len(self.accepted) < wanted:
            for task in self._tasks:
                if task.done():
                    task.result()
            assert time.monotonic() < end, "no orders are accepted any more"
            await asyncio.sleep(0.05)


def early(answer: httpx.Response) -> bool:
    """Whether an order came before what it is about was heard of."""
    return answer.status_code == 409 and any(words in answer.text for words in UNHEARD)
