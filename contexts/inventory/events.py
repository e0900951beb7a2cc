"""What has happened in the inventory, to a SKU (`stock-<sku>`) and to an order (`reservation-<order>`)."""

from __future__ import annotations

import msgspec

from contexts.messages import Event, OrderId, Quantity, ReturnId, Sku, UnitLines, Units


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """A SKU of which an order wants more than is available."""

    sku: Sku
    wanted: int
    available: int


class InventoryEventMessage(Event, tag=lambda name: f"inventory.{name}"):
    """An event of inventory."""


class StockReceived(InventoryEventMessage):
    sku: Sku
    quantity: Quantity
    reference: str = ""


class StockAdjusted(InventoryEventMessage):
    sku: Sku
    delta: int
    reason: str


class StockAllocated(InventoryEventMessage):
    """A SKU's share of a reservation: on hand as before, no longer available."""

    sku: Sku
    order_id: OrderId
    quantity: Quantity


class StockFreed(InventoryEventMessage):
    """A SKU's share of a released reservation is available again."""

    sku: Sku
    order_id: OrderId
    quantity: Quantity


class StockIssued(InventoryEventMessage):
    """A SKU's share of a shipped reservation: no longer on hand."""

    sku: Sku
    order_id: OrderId
    quantity: Quantity


class StockRestocked(InventoryEventMessage):
    """A SKU's share of a return: on hand and available again."""

    sku: Sku
    order_id: OrderId
    return_id: ReturnId
    quantity: Quantity


class StockReserved(InventoryEventMessage):
    """Every line of the order is reserved."""

    order_id: OrderId
    lines: UnitLines


class StockRefused(InventoryEventMessage):
    """Nothing is reserved: at least one line was short."""

    order_id: OrderId
    shortages: tuple[Shortage, ...]


class ReservationReleased(InventoryEventMessage):
    """Nothing is reserved for the order any more, nor ever will be; no lines if nothing had been."""

    order_id: OrderId
    lines: tuple[Units, ...]


class ReservationShipped(InventoryEventMessage):
    order_id: OrderId
    lines: UnitLines


class StockReturned(InventoryEventMessage):
    order_id: OrderId
    return_id: ReturnId
    lines: UnitLines


InventoryEvent = (
    StockReceived
    | StockAdjusted
    | StockAllocated
    | StockFreed
    | StockIssued
    | StockRestocked
    | StockReserved
    | StockRefused
    | ReservationReleased
    | ReservationShipped
    | StockReturned
)
"""Every event of inventory."""
