"""The rules of a shipment: it is created, dispatched and delivered, and stopped only before it leaves."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import msgspec

from contexts.messages import Rejected, Unknown
from contexts.shipping.commands import (
    CancelShipment,
    CreateShipment,
    DeliverShipment,
    DispatchShipment,
    ReceiveReturn,
    ShippingCommand,
)
from contexts.shipping.events import (
    ReturnReceived,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShippingEvent,
)


class Status(StrEnum):
    """Where a shipment is."""

    UNKNOWN = "unknown"
    CREATED = "created"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class Shipment(msgspec.Struct, frozen=True):
    """An order's shipment, and how many parcels of it came back."""

    status: Status = Status.UNKNOWN
    carrier: str = ""
    tracking: str = ""
    returns: int = 0


def decide(  # noqa: C901, PLR0911 - a table, a row for each answer
    shipment: Shipment, command: ShippingCommand
) -> tuple[ShippingEvent, ...]:
    """Answer a command with the facts it causes; none if nothing changes."""
    match command, shipment.status:
        case CreateShipment(order_id=order_id, lines=lines), Status.UNKNOWN:
            return (ShipmentCreated(order_id=order_id, lines=lines),)
        case CreateShipment(), _:
            # Also when cancelled: the order was given up before this command came through.
            return ()
        case CancelShipment(order_id=order_id), Status.UNKNOWN | Status.CREATED:
            return (ShipmentCancelled(order_id=order_id),)
        case CancelShipment(), Status.CANCELLED:
            return ()
        case _, Status.UNKNOWN:
            raise Unknown(f"order {command.order_id} has no shipment")
        case DispatchShipment(order_id=order_id, carrier=carrier, tracking=tracking), Status.CREATED:
            return (ShipmentDispatched(order_id=order_id, carrier=carrier, tracking=tracking),)
        case (
            DispatchShipment(carrier=shipment.carrier, tracking=shipment.tracking),
            Status.DISPATCHED | Status.DELIVERED,
        ):
            return ()
        case DeliverShipment(order_id=order_id), Status.DISPATCHED:
            return (ShipmentDelivered(order_id=order_id),)
        case DeliverShipment(), Status.DELIVERED:
            return ()
        case ReceiveReturn(order_id=order_id), Status.DISPATCHED | Status.DELIVERED:
            return (ReturnReceived(order_id=order_id, number=shipment.returns + 1),)
        case _:
            raise Rejected(f"cannot {_verb(command)} a shipment that is {shipment.status}")


def _verb(command: ShippingCommand) -> str:
    match command:
        case CreateShipment():
            return "create"
        case DispatchShipment():
            return "dispatch"
        case DeliverShipment():
            return "deliver"
        case CancelShipment():
            return "cancel"
        case ReceiveReturn():
            return "receive a return of"
        case _:
            assert_never(command)


def evolve(shipment: Shipment, event: ShippingEvent) -> Shipment:
    """The shipment after one more fact."""
    match event:
        case ShipmentCreated():
            return Shipment(Status.CREATED)
        case ShipmentDispatched():
            return Shipment(Status.DISPATCHED, event.carrier, event.tracking)
        case ShipmentDelivered():
            return msgspec.structs.replace(shipment, status=Status.DELIVERED)
        case ShipmentCancelled():
            return Shipment(Status.CANCELLED)
        case ReturnReceived():
            return msgspec.structs.replace(shipment, returns=event.number)
        case _:
            assert_never(event)
