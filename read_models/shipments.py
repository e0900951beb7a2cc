"""Where is the parcel? One document per order that has a shipment."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

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
from read_models.projection.documents import Page, ReadModels
from read_models.projection.model import Occurrence, ReadModel, Source, latest


class ParcelLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU in the parcel."""

    sku: str
    quantity: int


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: created, dispatched, delivered, cancelled; `version` of the shipment's stream.

    `returns_received` counts parcels that came back before returns were received by their ids. `abandoned` is
    there, and true, while the order's fulfilment is given up.
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
    abandoned: bool | UnsetType = UNSET


def project(document: Shipment | None, occurrence: Occurrence) -> Shipment:
    """The shipment after one more event."""
    shipment = document or Shipment(order_id=occurrence.key)
    return replace(
        _shipment(shipment, occurrence.event, occurrence.time),
        updated_at=latest(shipment.updated_at, occurrence.time),
        version=occurrence.version,
    )


def _shipment(  # noqa: PLR0911 - a table, a row for each fact
    shipment: Shipment, event: ShippingEvent, time: str
) -> Shipment:
    match event:
        case ShipmentCreated():
            lines = tuple(ParcelLine(sku=line.sku, quantity=line.quantity) for line in event.lines)
            return replace(shipment, status="created", lines=lines, created_at=time)
        case ShipmentDispatched():
            return replace(
                shipment,
                status="dispatched",
                carrier=event.carrier,
                tracking=event.tracking,
                dispatched_at=time,
            )
        case ShipmentDelivered():
            return replace(shipment, status="delivered", delivered_at=time)
        case ShipmentCancelled():
            return replace(shipment, status="cancelled")
        case ReturnReceived():
            return replace(shipment, returns_received=event.number)
        case ShipmentAbandoned():
            return replace(shipment, abandoned=True)
        case ShipmentResumed():
            return replace(shipment, abandoned=UNSET)
        case _:
            assert_never(event)


SHIPMENTS = ReadModel(
    name="shipments",
    sources=(Source("shipping", ShippingEvent),),
    document=Shipment,
    project=project,
    indexes=((("status", 1), ("_id", 1)),),
    # A shipment may be abandoned before there is one.
    visible={"status": {"$gt": ""}},
)


async def get(models: ReadModels, order_id: str) -> dict[str, Any] | None:
    """An order's shipment, if there is one."""
    return await models.get(SHIPMENTS, order_id)


async def list_by_order(
    models: ReadModels, *, status: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """Shipments by order id; raises CursorInvalid."""
    return await models.page(SHIPMENTS, {"status": status}, limit=limit, cursor=cursor)
