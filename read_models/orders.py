"""Where is my order? One document per order: what was ordered, how it is paid and where the parcel is."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from contexts.ordering.events import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderingEvent,
    OrderPlaced,
    ReturnAccepted,
    ReturnRequested,
)
from contexts.payments.events import (
    CaptureRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentMismatched,
    PaymentRefunded,
    PaymentRequested,
    PaymentsEvent,
    PaymentVoided,
    RefundRequested,
    VoidRequested,
)
from contexts.shipping.events import (
    ReturnReceived,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShippingEvent,
)
from read_models.model import Occurrence, ReadModel, Source, instant, latest
from read_models.reading import Page, ReadModels


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line as placed; `unit_price` in minor units."""

    sku: str
    name: str
    quantity: int
    unit_price: int


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: none, authorized, declined, mismatched, captured, voided, refunded (wholly).

    Amounts in minor units. Mismatched: the provider's books are not what was asked for.
    """

    status: str = "none"
    authorized: int = 0
    captured: int = 0
    refunded: int = 0


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: none, created, dispatched, delivered, cancelled."""

    status: str = "none"
    carrier: str | None = None
    tracking: str | None = None


class ReturnedLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU that come back."""

    sku: str
    quantity: int


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: requested, accepted; `refund` in minor units."""

    return_id: str
    status: str
    lines: tuple[ReturnedLine, ...]
    reason: str
    refund: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: placed, confirmed, dispatched, completed, cancelled, returned; `version` of its stream."""

    order_id: str
    customer_id: str | None = None
    status: str | None = None
    lines: tuple[Line, ...] = ()
    total: int | None = None
    currency: str | None = None
    payment: Payment = Payment()
    shipment: Shipment = Shipment()
    returns: tuple[Return, ...] = ()
    placed_at: str | None = None
    updated_at: str | None = None
    version: int = 0
    cancelled_reason: str | UnsetType = UNSET


def project(document: Order | None, occurrence: Occurrence) -> Order:
    """The order after one more event of ordering, payments or shipping."""
    order = document or Order(order_id=occurrence.key)
    event: OrderingEvent | PaymentsEvent | ShippingEvent = occurrence.event
    match event:
        case (
            PaymentRequested()
            | PaymentAuthorized()
            | PaymentDeclined()
            | CaptureRequested()
            | PaymentCaptured()
            | VoidRequested()
            | PaymentVoided()
            | RefundRequested()
            | PaymentRefunded()
            | PaymentMismatched()
        ):
            changed = msgspec.structs.replace(order, payment=_payment(order.payment, event))
        case (
            ShipmentCreated()
            | ShipmentDispatched()
            | ShipmentDelivered()
            | ShipmentCancelled()
            | ReturnReceived()
        ):
            changed = msgspec.structs.replace(order, shipment=_shipment(order.shipment, event))
        case _:
            changed = msgspec.structs.replace(_order(order, event), version=occurrence.version)
    return msgspec.structs.replace(changed, updated_at=latest(order.updated_at, occurrence.time))


def _order(order: Order, event: OrderingEvent) -> Order:
    match event:
        case OrderPlaced():
            changed = msgspec.structs.replace(
                order,
                customer_id=event.customer_id,
                status="placed",
                lines=tuple(
                    Line(sku=line.sku, name=line.name, quantity=line.quantity, unit_price=line.unit_price)
                    for line in event.lines
                ),
                total=event.total,
                currency=event.currency,
                placed_at=instant(event.placed_at),
            )
        case OrderConfirmed():
            changed = msgspec.structs.replace(order, status="confirmed")
        case OrderCancelled():
            changed = msgspec.structs.replace(order, status="cancelled", cancelled_reason=event.reason)
        case OrderDispatched():
            changed = msgspec.structs.replace(order, status="dispatched")
        case OrderCompleted():
            changed = msgspec.structs.replace(order, status="completed")
        case ReturnRequested():
            requested = Return(
                return_id=event.return_id,
                status="requested",
                lines=tuple(ReturnedLine(sku=line.sku, quantity=line.quantity) for line in event.lines),
                reason=event.reason,
                refund=event.refund,
            )
            changed = msgspec.structs.replace(order, returns=(*order.returns, requested))
        case ReturnAccepted():
            returns = tuple(
                msgspec.structs.replace(item, status="accepted")
                if item.return_id == event.return_id
                else item
                for item in order.returns
            )
            status = "returned" if event.whole else order.status
            changed = msgspec.structs.replace(order, returns=returns, status=status)
        case _:
            assert_never(event)
    return changed


def _payment(payment: Payment, event: PaymentsEvent) -> Payment:  # noqa: PLR0911 - a table
    match event:
        case PaymentAuthorized():
            return msgspec.structs.replace(payment, status="authorized", authorized=event.amount)
        case PaymentDeclined():
            return msgspec.structs.replace(payment, status="declined")
        case PaymentCaptured():
            return msgspec.structs.replace(payment, status="captured", captured=event.amount)
        case PaymentVoided():
            return msgspec.structs.replace(payment, status="voided")
        case PaymentRefunded():
            refunded = payment.refunded + event.amount
            status = "refunded" if refunded >= payment.captured else payment.status
            return msgspec.structs.replace(payment, status=status, refunded=refunded)
        case PaymentMismatched():
            return msgspec.structs.replace(payment, status="mismatched")
        case PaymentRequested() | CaptureRequested() | VoidRequested() | RefundRequested():
            return payment
        case _:
            assert_never(event)


def _shipment(shipment: Shipment, event: ShippingEvent) -> Shipment:
    match event:
        case ShipmentCreated():
            return msgspec.structs.replace(shipment, status="created")
        case ShipmentDispatched():
            return msgspec.structs.replace(
                shipment, status="dispatched", carrier=event.carrier, tracking=event.tracking
            )
        case ShipmentDelivered():
            return msgspec.structs.replace(shipment, status="delivered")
        case ShipmentCancelled():
            return msgspec.structs.replace(shipment, status="cancelled")
        case ReturnReceived():
            return shipment
        case _:
            assert_never(event)


NEWEST_FIRST = (("placed_at", -1), ("_id", -1))
# Read backwards for the newest first: SecantusDB finds nothing when asked for a range of a descending index.
_OLDEST_FIRST = (("placed_at", 1), ("_id", 1))

ORDERS = ReadModel(
    name="orders",
    sources=(
        Source("ordering", OrderingEvent),
        Source("payments", PaymentsEvent),
        Source("shipping", ShippingEvent),
    ),
    document=Order,
    project=project,
    indexes=(_OLDEST_FIRST, (("status", 1), *_OLDEST_FIRST), (("customer_id", 1), *_OLDEST_FIRST)),
    # A payment may be heard before the order it is for.
    visible={"placed_at": {"$gt": ""}},
)


async def get(models: ReadModels, order_id: str) -> dict[str, Any] | None:
    """An order, if it was placed."""
    return await models.get(ORDERS, order_id)


async def list_newest(
    models: ReadModels,
    *,
    status: str | None = None,
    customer_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Orders, the one placed last first; raises CursorInvalid."""
    wanted = {"status": status, "customer_id": customer_id}
    return await models.page(ORDERS, wanted, order=NEWEST_FIRST, limit=limit, cursor=cursor)
