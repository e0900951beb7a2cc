"""/v1/shipments: parcels, one per order."""

from __future__ import annotations

from typing import Any, Literal

from litestar import Router

from contexts.ordering.commands import ReceiveReturn
from contexts.shipping.commands import DeliverShipment, DispatchShipment
from gateway.http.command_route import command_route
from gateway.http.guard import Access
from gateway.http.query_route import Asked, AskedPage, Items, query_route
from gateway.http.request import RequestContext
from read_models import shipments as model
from read_models.projection.documents import Page
from read_models.shipments import Shipment

ShipmentStatus = Literal["created", "dispatched", "delivered", "cancelled"]


class AskedShipments(AskedPage, frozen=True, kw_only=True):
    """Which shipments are wanted."""

    status: ShipmentStatus | None = None


@query_route(
    "/",
    access=Access.SHIPMENTS_READ,
    model="shipments",
    document=Items[Shipment],
    asks=AskedShipments,
    summary="List shipments by order",
)
async def list_shipments(incoming: RequestContext, asked: AskedShipments) -> Page:
    """Returns one page, sorted by order id, of one status if asked for."""
    return await model.list_by_order(
        incoming.services.models, status=asked.status, limit=asked.limit, cursor=asked.cursor
    )


@query_route(
    "/{order_id:str}",
    access=Access.SHIPMENTS_READ,
    model="shipments",
    document=Shipment,
    summary="Show an order's shipment",
)
async def get_shipment(incoming: RequestContext, _: Asked) -> dict[str, Any] | None:
    """Returns the shipment's status, lines, carrier and tracking number. 404 until it is created."""
    return await model.get(incoming.services.models, incoming.key("order_id"))


shipments = Router(
    "/v1/shipments",
    tags=["shipments"],
    route_handlers=[
        list_shipments,
        get_shipment,
        command_route(
            "/{order_id:str}/dispatch",
            DispatchShipment,
            access=Access.SHIPMENTS_WRITE,
            id_field="order_id",
            summary="Hand a parcel to its carrier",
        ),
        command_route(
            "/{order_id:str}/deliver",
            DeliverShipment,
            access=Access.SHIPMENTS_WRITE,
            id_field="order_id",
            summary="Say that a parcel has arrived",
        ),
        command_route(
            "/{order_id:str}/receive-return",
            ReceiveReturn,
            access=Access.SHIPMENTS_WRITE,
            id_field="order_id",
            summary="Say what came back",
        ),
    ],
)
