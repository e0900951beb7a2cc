"""What may be asked about shipments; an order has one shipment."""

from __future__ import annotations

from contexts.messages import Command, OrderId, Text, UnitLines


class ShippingCommandMessage(Command, tag=lambda name: f"shipping.{name}"):
    """A command to shipping."""


class CreateShipment(ShippingCommandMessage):
    order_id: OrderId
    lines: UnitLines


class DispatchShipment(ShippingCommandMessage):
    """Record that the parcel was handed to its carrier. The payment is captured afterwards.

    Refused if the shipment was cancelled or dispatched with another carrier or tracking number, or while its
    fulfilment is abandoned.
    """

    order_id: OrderId
    carrier: Text
    tracking: Text


class DeliverShipment(ShippingCommandMessage):
    """Record that the parcel was delivered; the order is completed once it is paid, too.

    Refused if it was not dispatched, or while its fulfilment is abandoned.
    """

    order_id: OrderId


class CancelShipment(ShippingCommandMessage):
    """Stop the shipment, or make sure that there will be none."""

    order_id: OrderId


class AbandonShipment(ShippingCommandMessage):
    """Keep the parcel where it is until the order's fulfilment is settled or resumed."""

    order_id: OrderId
    reason: Text


class ResumeShipment(ShippingCommandMessage):
    """Let a parcel that was abandoned go on."""

    order_id: OrderId


ShippingCommand = (
    CreateShipment | DispatchShipment | DeliverShipment | CancelShipment | AbandonShipment | ResumeShipment
)
"""Every command of shipping."""
