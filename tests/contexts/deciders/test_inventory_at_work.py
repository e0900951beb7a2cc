"""The inventory on real stores: many orders at once, several SKUs each, and nothing is oversold."""

from __future__ import annotations

import asyncio

from contexts.inventory.commands import (
    ReceiveStock,
    ReleaseReservation,
    ReserveStock,
    ReturnStock,
    ShipReservation,
)
from contexts.inventory.events import (
    ReservationReleased,
    StockAllocated,
    StockIssued,
    StockReceived,
    StockRefused,
    StockReserved,
    StockRestocked,
)
from contexts.inventory.service import context
from contexts.inventory.stock import Stock, evolve
from contexts.messages import Units
from infra.settings import Settings
from tests.support.at_work import AtWork, at_work

SKUS = ("CUP", "JUG", "MUG")


def want(number: int) -> ReserveStock:
    """One of each SKU, not always in the same order."""
    turned = SKUS[number % 3 :] + SKUS[: number % 3]
    lines = tuple(Units(sku=sku, quantity=1) for sku in turned)
    return ReserveStock(order_id=f"order{number}", lines=lines)


async def test_a_hundred_orders_at_once_share_the_last_units(store_url: str) -> None:
    """Every order is reserved whole or refused, and every unit that exists finds an order."""
    async with at_work(context(Settings()), store_url) as inventory:
        for sku in SKUS:
            await inventory.accept(ReceiveStock(sku=sku, quantity=20))
        await asyncio.gather(*(inventory.accept(want(number)) for number in range(100)))
        outcomes = [(await inventory.events(f"reservation-order{number}"))[-1] for number in range(100)]
        reserved = [event for event in outcomes if isinstance(event, StockReserved)]
        assert len(reserved) == 20
        assert sum(isinstance(event, StockRefused) for event in outcomes) == 80
        for sku in SKUS:
            assert await never_below_zero(inventory, sku) == Stock(20, 20)


async def never_below_zero(inventory: AtWork, sku: str) -> Stock:
    """The SKU's stock as it is now, having been covered at every moment of its life."""
    stock = Stock()
    for event in await inventory.events(f"stock-{sku}"):
        assert isinstance(event, StockReceived | StockAllocated | StockIssued | StockRestocked)
        stock = evolve(stock, event)
        assert stock.available >= 0
    return stock


async def test_a_reservation_lives_on_in_a_new_process(sqlite_store: str) -> None:
    """Reserved in one process, shipped in the next, returned in a third."""
    lines = (Units(sku="MUG", quantity=2),)
    async with at_work(context(Settings()), sqlite_store) as inventory:
        await inventory.accept(ReceiveStock(sku="MUG", quantity=5))
        await inventory.accept(ReserveStock(order_id="42", lines=lines))
    async with at_work(context(Settings()), sqlite_store) as inventory:
        await inventory.accept(ShipReservation(order_id="42"))
    async with at_work(context(Settings()), sqlite_store) as inventory:
        back = ReturnStock(order_id="42", return_id="r1", lines=lines)
        await inventory.accept(back)
        await inventory.accept(back)
        assert "only 0" in await inventory.refuse(ReturnStock(order_id="42", return_id="r2", lines=lines))
        assert await never_below_zero(inventory, "MUG") == Stock(5, 0)


async def test_an_order_released_before_it_reserved_never_reserves(sqlite_store: str) -> None:
    """Reservation and release may arrive the other way round."""
    async with at_work(context(Settings()), sqlite_store) as inventory:
        await inventory.accept(ReceiveStock(sku="MUG", quantity=5))
        await inventory.accept(ReleaseReservation(order_id="42"))
        await inventory.accept(ReserveStock(order_id="42", lines=(Units(sku="MUG", quantity=2),)))
        never = ReservationReleased(order_id="42", lines=())
        assert await inventory.events("reservation-42") == [never]
        assert await inventory.events("stock-MUG") == [StockReceived(sku="MUG", quantity=5)]
