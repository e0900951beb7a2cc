"""What may be asked of the inventory."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from contexts.messages import Command, OrderId, Quantity, ReturnId, Sku, Text, UnitLines

Reference = Annotated[str, Meta(max_length=200)]
Delta = Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)]


class InventoryCommandMessage(Command, tag=lambda name: f"inventory.{name}"):
    """A command to inventory."""


class ReceiveStock(InventoryCommandMessage):
    """Add received units to a product's stock; `reference` names the delivery.

    Two commands with the same `reference` both count.
    """

    sku: Sku
    quantity: Quantity
    reference: Reference = ""


class AdjustStock(InventoryCommandMessage):
    """Correct a product's count by `delta`, which may be negative.

    Refused if fewer units would be on hand than are reserved for orders.
    """

    sku: Sku
    delta: Delta
    reason: Text


class ReserveStock(InventoryCommandMessage):
    """Reserve every line or none."""

    order_id: OrderId
    lines: UnitLines


class ReleaseReservation(InventoryCommandMessage):
    order_id: OrderId


class ShipReservation(InventoryCommandMessage):
    """The reserved units have left the building."""

    order_id: OrderId


class ReturnStock(InventoryCommandMessage):
    order_id: OrderId
    return_id: ReturnId
    lines: UnitLines


InventoryCommand = (
    ReceiveStock | AdjustStock | ReserveStock | ReleaseReservation | ShipReservation | ReturnStock
)
"""Every command of inventory."""
