"""Where is the parcel? One document per order that has a shipment."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from contexts.shipping.events import (
    ReturnReceived,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShippingEvent,
)
from read_models.model import Occurrence, ReadModel, Source, latest
from read_models.reading import Page, ReadModels


class ParcelLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU in the parcel."""

    sku: str
    quantity: int


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: created, dispatched, delivered, cancelled; `returns_received` counts parcels that came back.

    `version` of the shipment's stream.
    """

    order_id: str
    status: str | None = None
    lines: tuple[ParcelLine, ...] = ()
    carrier: str | None = None
    tracking: str | None = None
    returns_received: int = 0
    created_at: str | None = None
    dispatched_at: str | None = None
    delivered_at: str | None = None
    updated_at: str | None = None
    version: int = 0


def project(document: Shipment | None, occurrence: Occurrence) -> Shipment:
    """The shipment after one more event."""
    shipment = document or Shipment(order_id=occurrence.key)
    return msgspec.structs.replace(
        _shipment(shipment, occurrence.event, occurrence.time),
        updated_at=latest(shipment.updated_at, occurrence.time),
        version=occurrence.version,
    )


def _shipment(shipment: Shipment, event: ShippingEvent, time: str) -> Shipment:
    match event:
        case ShipmentCreated():
            lines = tuple(ParcelLine(sku=line.sku, quantity=line.quantity) for line in event.lines)
            return msgspec.structs.replace(shipment, status="created", lines=lines, created_at=time)
        case ShipmentDispatched():
            return msgspec.structs.replace(
                shipment,
                status="dispatched",
                carrier=event.carrier,
                tracking=event.tracking,
                dispatched_at=time,
            )
        case ShipmentDelivered():
            return msgspec.structs.replace(shipment, status="delivered", delivered_at=time)
        case ShipmentCancelled():
            return msgspec.structs.replace(shipment, status="cancelled")
        case ReturnReceived():
            return msgspec.structs.replace(shipment, returns_received=event.number)
        case _:
            assert_never(event)


SHIPMENTS = ReadModel(
    name="shipments",
    sources=(Source("shipping", ShippingEvent),),
    document=Shipment,
    project=project,
    indexes=((("status", 1), ("_id", 1)),),
)


async def get(models: ReadModels, order_id: str) -> dict[str, Any] | None:
    """An order's shipment, if there is one."""
    return await models.get(SHIPMENTS, order_id)


async def list_by_order(
    models: ReadModels, *, status: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """Shipments by order id; raises CursorInvalid."""
    return await models.page(SHIPMENTS, {"status": status}, limit=limit, cursor=cursor)
