"""Whole orders, placed to confirmed, with everything running: rate, cost, time to be queryable, memory."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil

from infra.embedded.stack import EmbeddedStack
from infra.security.development_issuer import SigningKeys
from infra.sockets import free_port
from tests.bench.table import Row
from tests.support.shop import Shop

ORDERS = 2_000
SKUS = 200
PACE = 50
PACED = 500
IN_FLIGHT = 32
SCOPES = ("catalog:write", "stock:write", "customers:write", "orders:write", "orders:read", "reports:read")


def token_of(stack: EmbeddedStack) -> str:
    """A token for what a shop does."""
    settings = stack.settings
    return SigningKeys.load(stack.folder.keys).mint(
        SCOPES,
        subject="bench",
        lifetime=timedelta(hours=4),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )


def cpu_seconds(stack: EmbeddedStack) -> dict[str, float]:
    """What each process, with its children, has used so far."""
    used: dict[str, float] = {}
    for name, pid in stack.pids.items():
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        used[name] = sum(sum(member.cpu_times()[:2]) for member in family)
    return used


def resident(stack: EmbeddedStack) -> dict[str, int]:
    """The resident memory (bytes) of each process with its children."""
    return {
        name: sum(
            member.memory_info().rss
            for member in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
        )
        for name, pid in stack.pids.items()
    }


async def confirmed(shop: Shop) -> int:
    """How many orders count as sold."""
    today = datetime.now(UTC).date()
    days = {"from": str(today - timedelta(days=1)), "to": str(today)}
    sales = (await shop.http.get("/v1/sales/daily", params=days)).raise_for_status()
    return sum(int(day["orders"]) for day in sales.json()["items"])


async def place(shop: Shop, name: str, numbers: range) -> None:
    """Place orders, a bounded number at a time."""
    waiting = iter(numbers)

    async def work() -> None:
        for number in waiting:
            lines = [{"sku": f"S{(number * 7 + i) % SKUS}", "quantity": 1} for i in range(3)]
            body = {
                "order_id": f"{name}-{number}",
                "customer_id": "bench",
                "lines": lines,
                "payment_method": "tok_approve",
            }
            answer = await shop.http.post("/v1/orders", json=body)
            answer.raise_for_status()

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


async def sustained(
    stack: EmbeddedStack, shop: Shop, name: str, orders: int
) -> tuple[float, dict[str, float]]:
    """Orders per second from the first placed to the last confirmed, and CPU seconds per 1,000 of them."""
    before, used = await confirmed(shop), cpu_seconds(stack)
    begun = time.perf_counter()
    await place(shop, name, range(orders))
    while await confirmed(shop) < before + orders:
        await asyncio.sleep(0.1)
    seconds = time.perf_counter() - begun
    after = cpu_seconds(stack)
    return orders / seconds, {part: (after[part] - used[part]) / orders * 1000 for part in after}


async def to_queryable(shop: Shop) -> list[float]:
    """Seconds from an order's 201 to the answer that shows it, at a steady pace; sorted."""
    taken: list[float] = []

    async def one(number: int) -> None:
        body = {
            "order_id": f"pace-{number}",
            "customer_id": "bench",
            "lines": [{"sku": f"S{number % SKUS}", "quantity": 1}],
            "payment_method": "tok_approve",
        }
        answer = await shop.http.post("/v1/orders", json=body)
        answer.raise_for_status()
        begun = time.perf_counter()
        headers = {"Consistency-Token": answer.headers["Consistency-Token"], "Prefer": "wait=30"}
        shown = await shop.http.get(f"/v1/orders/pace-{number}", headers=headers)
        shown.raise_for_status()
        taken.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(PACED):
            group.create_task(one(number))
            await asyncio.sleep(max(0.0, begun + (number + 1) / PACE - time.perf_counter()))
    return sorted(taken)


async def seed(shop: Shop) -> None:
    """Products with stock for everything, and a customer."""
    await shop.customer("bench")

    async def product(number: int) -> None:
        sku = f"S{number}"
        body = {"sku": sku, "name": sku, "unit_price": 950, "currency": "GBP"}
        (await shop.http.post("/v1/products", json=body)).raise_for_status()
        (await shop.http.post(f"/v1/stock/{sku}/receive", json={"quantity": 1_000_000})).raise_for_status()

    await asyncio.gather(*(product(number) for number in range(SKUS)))
    # The last words of every product were heard once an order of each can be placed.
    for number in range(SKUS):
        body = {
            "order_id": f"seed-{number}",
            "customer_id": "bench",
            "lines": [{"sku": f"S{number}", "quantity": 1}],
            "payment_method": "tok_approve",
        }
        while (await shop.http.post("/v1/orders", json=body)).status_code == httpx.codes.CONFLICT:
            await asyncio.sleep(0.05)
    while await confirmed(shop) < SKUS:
        await asyncio.sleep(0.1)


def megabytes(memory: dict[str, int]) -> str:
    """Memory as text."""
    return ", ".join(f"{name} {size / 1e6:.0f}" for name, size in memory.items())


async def run(milestones: tuple[int, ...] = ()) -> list[Row]:
    """Measure; with milestones, go on to that many orders and look at the memory at each."""
    with tempfile.TemporaryDirectory(prefix="orderfold-bench-") as folder:
        async with (
            EmbeddedStack(Path(folder) / "data", port=free_port()) as stack,
            Shop(stack.url, token_of(stack)) as shop,
        ):
            await seed(shop)
            rate, cpu = await sustained(stack, shop, "whole", ORDERS)
            taken = await to_queryable(shop)
            rows = [
                Row("whole orders, placed to confirmed", f"{rate:.0f}/s"),
                Row(
                    "CPU seconds per 1,000 whole orders",
                    ", ".join(f"{name} {seconds:.1f}" for name, seconds in cpu.items()),
                ),
                Row(
                    f"accepted to queryable at {PACE} orders/s",
                    f"p50 {taken[len(taken) // 2] * 1e3:.0f} ms, "
                    f"p99 {taken[int(len(taken) * 0.99)] * 1e3:.0f} ms",
                ),
            ]
            done = SKUS + ORDERS + PACED
            for milestone in milestones:
                rate, _ = await sustained(stack, shop, f"to-{milestone}", milestone - done)
                done = milestone
                rows.append(
                    Row(
                        f"memory at {milestone:,} orders (MB)",
                        megabytes(resident(stack)),
                        f"{rate:.0f} orders/s on the way",
                    )
                )
        return rows


if __name__ == "__main__":
    from tests.bench.table import show

    show(asyncio.run(run(tuple(int(argument) for argument in sys.argv[1:]))))
