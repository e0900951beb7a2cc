"""What has happened to shipments."""

from __future__ import annotations

from contexts.messages import Event, OrderId
from contexts.shipping.parcel_lines import ParcelLines


class ShippingEventMessage(Event, tag=lambda name: f"shipping.{name}"):
    """An event of shipping."""


class ShipmentCreated(ShippingEventMessage):
    order_id: OrderId
    lines: ParcelLines


class ShipmentDispatched(ShippingEventMessage):
    order_id: OrderId
    carrier: str
    tracking: str


class ShipmentDelivered(ShippingEventMessage):
    order_id: OrderId


class ShipmentCancelled(ShippingEventMessage):
    order_id: OrderId


class ReturnReceived(ShippingEventMessage):
    """`number` counts the parcels that came back of this order, from 1."""

    order_id: OrderId
    number: int


ShippingEvent = ShipmentCreated | ShipmentDispatched | ShipmentDelivered | ShipmentCancelled | ReturnReceived
"""Every event of shipping."""
