"""The rules of a shipment: it is created, dispatched and delivered, and stopped only before it leaves."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import msgspec
from msgspec.structs import replace

from contexts.messages import Rejected, Unknown
from contexts.shipping.commands import (
    AbandonShipment,
    CancelShipment,
    CreateShipment,
    DeliverShipment,
    DispatchShipment,
    ResumeShipment,
    ShippingCommand,
)
from contexts.shipping.events import (
    ReturnReceived,
    ShipmentAbandoned,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentResumed,
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
    """An order's shipment; `abandoned` while the order's fulfilment is given up."""

    status: Status = Status.UNKNOWN
    carrier: str = ""
    tracking: str = ""
    abandoned: bool = False


def decide(  # noqa: C901, PLR0911, PLR0912 - a table, a row for each answer
    shipment: Shipment, command: ShippingCommand
) -> tuple[ShippingEvent, ...]:
    """Answer a command with the facts it causes; none if nothing changes."""
    match command, shipment.status:
        case AbandonShipment(order_id=order_id, reason=reason), _ if not shipment.abandoned:
            return (ShipmentAbandoned(order_id=order_id, reason=reason),)
        case ResumeShipment(order_id=order_id), _ if shipment.abandoned:
            return (ShipmentResumed(order_id=order_id),)
        case ((AbandonShipment() | ResumeShipment()), _):
            return ()
        case ((DispatchShipment() | DeliverShipment()), _) if shipment.abandoned:
            raise Rejected(
                f"the shipment of order {command.order_id} is abandoned: "
                "an operator has to settle or resume its fulfilment"
            )
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
        case AbandonShipment():
            return "abandon"
        case ResumeShipment():
            return "resume"
        case _:
            assert_never(command)


def evolve(  # noqa: PLR0911 - a table, a row for each fact
    shipment: Shipment, event: ShippingEvent
) -> Shipment:
    """The shipment after one more fact."""
    match event:
        case ShipmentCreated():
            return replace(shipment, status=Status.CREATED)
        case ShipmentDispatched():
            return replace(shipment, status=Status.DISPATCHED, carrier=event.carrier, tracking=event.tracking)
        case ShipmentDelivered():
            return replace(shipment, status=Status.DELIVERED)
        case ShipmentCancelled():
            return replace(shipment, status=Status.CANCELLED)
        case ReturnReceived():
            return shipment
        case ShipmentAbandoned():
            return replace(shipment, abandoned=True)
        case ShipmentResumed():
            return replace(shipment, abandoned=False)
        case _:
            assert_never(event)
