"""The inventory's two kinds of stream: the stock of a SKU, and the reservation of an order over many SKUs."""

from __future__ import annotations

import typing

from contexts.inventory import reservation as reservations
from contexts.inventory import stock as stocks
from contexts.inventory.commands import InventoryCommand
from contexts.inventory.events import InventoryEvent
from contexts.inventory.reservation import Reservation
from contexts.inventory.stock import Stock, StockCommand, StockEvent


def stock_stream(sku: str) -> str:
    """The stream of a SKU's stock."""
    return f"stock-{sku}"


def reservation_stream(order_id: str) -> str:
    """The stream of an order's reservation."""
    return f"reservation-{order_id}"


def primary(command: InventoryCommand) -> str:
    """The stream a command is about; a reservation's commands also write to stocks."""
    return (
        stock_stream(command.sku)
        if isinstance(command, StockCommand)
        else reservation_stream(command.order_id)
    )


def stream_of(event: InventoryEvent) -> str:
    """The stream a fact belongs to."""
    return stock_stream(event.sku) if isinstance(event, StockEvent) else reservation_stream(event.order_id)


def initial(stream: str) -> Stock | Reservation:
    """What a stream is before its first fact."""
    return Stock() if stream.startswith("stock-") else Reservation()


def evolve(state: Stock | Reservation, event: InventoryEvent) -> Stock | Reservation:
    """A stock or a reservation after one more fact."""
    if isinstance(event, StockEvent):
        return stocks.evolve(typing.cast("Stock", state), event)
    return reservations.evolve(typing.cast("Reservation", state), event)
