"""The stock of one SKU: what is on hand, and what of it is promised to orders."""

from __future__ import annotations

from typing import assert_never

import msgspec

from contexts.inventory.commands import AdjustStock, ReceiveStock
from contexts.inventory.events import (
    StockAdjusted,
    StockAllocated,
    StockFreed,
    StockIssued,
    StockReceived,
    StockRestocked,
)
from contexts.messages import Rejected

StockCommand = ReceiveStock | AdjustStock
"""What is asked of one SKU's stock alone."""

StockEvent = StockReceived | StockAdjusted | StockAllocated | StockFreed | StockIssued | StockRestocked
"""What happens to one SKU's stock."""


class Stock(msgspec.Struct, frozen=True):
    """Units of one SKU; a SKU of which nothing was ever received has none."""

    on_hand: int = 0
    reserved: int = 0

    @property
    def available(self) -> int:
        """What can still be promised; never below 0."""
        return self.on_hand - self.reserved


def decide(stock: Stock, command: StockCommand) -> tuple[StockEvent, ...]:
    """Answer a command with the facts it causes; none if nothing changes."""
    match command:
        case ReceiveStock(sku=sku, quantity=quantity, reference=reference):
            return (StockReceived(sku=sku, quantity=quantity, reference=reference),)
        case AdjustStock(delta=0):
            return ()
        case AdjustStock(sku=sku, delta=delta, reason=reason):
            if stock.available + delta < 0:
                raise Rejected(f"{sku}: only {stock.available} of {stock.on_hand} on hand are not reserved")
            return (StockAdjusted(sku=sku, delta=delta, reason=reason),)
        case _:
            assert_never(command)


def evolve(stock: Stock, event: StockEvent) -> Stock:
    """The stock after one more fact."""
    match event:
        case StockAllocated():
            return Stock(stock.on_hand, stock.reserved + event.quantity)
        case StockIssued():
            return Stock(stock.on_hand - event.quantity, stock.reserved - event.quantity)
        case StockReceived() | StockRestocked():
            return Stock(stock.on_hand + event.quantity, stock.reserved)
        case StockFreed():
            return Stock(stock.on_hand, stock.reserved - event.quantity)
        case StockAdjusted():
            return Stock(stock.on_hand + event.delta, stock.reserved)
        case _:
            assert_never(event)
