"""What has happened to shipments."""

from __future__ import annotations

from contexts.messages import Event, OrderId, UnitLines


class ShippingEventMessage(Event, tag=lambda name: f"shipping.{name}"):
    """An event of shipping."""


class ShipmentCreated(ShippingEventMessage):
    order_id: OrderId
    lines: UnitLines


class ShipmentDispatched(ShippingEventMessage):
    order_id: OrderId
    carrier: str
    tracking: str


class ShipmentDelivered(ShippingEventMessage):
    order_id: OrderId


class ShipmentCancelled(ShippingEventMessage):
    order_id: OrderId


class ReturnReceived(ShippingEventMessage):
    """`number` counts the parcels that came back of this order, from 1.

    Only in old logs: returns are received in ordering.
    """

    order_id: OrderId
    number: int


class ShipmentAbandoned(ShippingEventMessage):
    """The order's fulfilment was given up: the parcel is neither sent nor delivered until it is resumed."""

    order_id: OrderId
    reason: str


class ShipmentResumed(ShippingEventMessage):
    order_id: OrderId


ShippingEvent = (
    ShipmentCreated
    | ShipmentDispatched
    | ShipmentDelivered
    | ShipmentCancelled
    | ReturnReceived
    | ShipmentAbandoned
    | ShipmentResumed
)
"""Every event of shipping."""
