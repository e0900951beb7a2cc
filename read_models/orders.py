"""Where is my order? One document per order: what was ordered, how it is paid and where the parcel is."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from contexts.ordering.events import (
    CancellationRefused,
    CancellationRequested,
    OrderAbandoned,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderingEvent,
    OrderPlaced,
    OrderResumed,
    ReturnAccepted,
    ReturnReceived,
    ReturnRefused,
    ReturnRequested,
    ReturnWithdrawn,
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
from contexts.shipping.events import ReturnReceived as ParcelReturned
from contexts.shipping.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
)
from read_models.projection.documents import Page, ReadModels
from read_models.projection.model import Occurrence, ReadModel, Source, instant, latest


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


class ReceivedLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU that came back: restocked, or written off."""

    sku: str
    restocked: int
    written_off: int


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: requested, received, accepted, refused, withdrawn.

    `lines` were requested, `received` is what came. `refund` (minor units) is for what came; before that, for
    what was requested.
    """

    return_id: str
    status: str
    lines: tuple[ReturnedLine, ...]
    reason: str
    refund: int
    received: tuple[ReceivedLine, ...] | UnsetType = UNSET
    refused_reason: str | UnsetType = UNSET


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: requested while the shipment decides, refused; why it was asked for, or refused."""

    status: str
    reason: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: placed, confirmed, dispatched, completed, cancelled, returned; `version` of its stream.

    `abandoned` is there, and true, while the order's fulfilment is given up.
    """

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
    cancellation: Cancellation | UnsetType = UNSET
    abandoned: bool | UnsetType = UNSET


ShippingEvent = ShipmentCreated | ShipmentDispatched | ShipmentDelivered | ShipmentCancelled | ParcelReturned
"""Those of shipping's events that change an order's document."""

OrderEvent = (
    OrderPlaced
    | OrderConfirmed
    | OrderCancelled
    | CancellationRequested
    | CancellationRefused
    | OrderDispatched
    | OrderCompleted
    | OrderAbandoned
    | OrderResumed
)
"""What happens to an order as a whole."""

ReturnEvent = ReturnRequested | ReturnReceived | ReturnAccepted | ReturnRefused | ReturnWithdrawn
"""What happens to an order's returns."""


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
            changed = replace(order, payment=_payment(order.payment, event))
        case (
            ShipmentCreated()
            | ShipmentDispatched()
            | ShipmentDelivered()
            | ShipmentCancelled()
            | ParcelReturned()
        ):
            changed = replace(order, shipment=_shipment(order.shipment, event))
        case ReturnRequested() | ReturnReceived() | ReturnAccepted() | ReturnRefused() | ReturnWithdrawn():
            changed = replace(_returned(order, event), version=occurrence.version)
        case _:
            changed = replace(_order(order, event), version=occurrence.version)
    return replace(changed, updated_at=latest(order.updated_at, occurrence.time))


def _order(order: Order, event: OrderEvent) -> Order:  # noqa: PLR0911 - a table, a row for each fact
    match event:
        case OrderPlaced():
            return _placed(order, event)
        case OrderConfirmed():
            return replace(order, status="confirmed")
        case OrderCancelled():
            return replace(order, status="cancelled", cancelled_reason=event.reason, cancellation=UNSET)
        case CancellationRequested():
            return replace(order, cancellation=Cancellation(status="requested", reason=event.reason))
        case CancellationRefused():
            return replace(order, cancellation=Cancellation(status="refused", reason=event.reason))
        case OrderDispatched():
            return replace(order, status="dispatched")
        case OrderCompleted():
            return replace(order, status="completed")
        case OrderAbandoned():
            return replace(order, abandoned=True)
        case OrderResumed():
            return replace(order, abandoned=UNSET)
        case _:
            assert_never(event)


def _placed(order: Order, event: OrderPlaced) -> Order:
    return replace(
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


def _returned(order: Order, event: ReturnEvent) -> Order:
    if isinstance(event, ReturnRequested):
        requested = Return(
            return_id=event.return_id,
            status="requested",
            lines=tuple(ReturnedLine(sku=line.sku, quantity=line.quantity) for line in event.lines),
            reason=event.reason,
            refund=event.refund,
        )
        return replace(order, returns=(*order.returns, requested))
    returns = tuple(
        _return(item, event) if item.return_id == event.return_id else item for item in order.returns
    )
    whole = isinstance(event, ReturnAccepted) and event.whole
    return replace(order, returns=returns, status="returned" if whole else order.status)


def _return(item: Return, event: ReturnReceived | ReturnAccepted | ReturnRefused | ReturnWithdrawn) -> Return:
    match event:
        case ReturnReceived():
            received = tuple(
                ReceivedLine(sku=line.sku, restocked=line.restocked, written_off=line.written_off)
                for line in event.lines
            )
            return replace(item, status="received", received=received, refund=event.refund)
        case ReturnAccepted():
            return replace(item, status="accepted")
        case ReturnRefused():
            return replace(item, status="refused", refused_reason=event.reason)
        case ReturnWithdrawn():
            return replace(item, status="withdrawn")
        case _:
            assert_never(event)


def _payment(payment: Payment, event: PaymentsEvent) -> Payment:  # noqa: PLR0911 - a table
    match event:
        case PaymentAuthorized():
            return replace(payment, status="authorized", authorized=event.amount)
        case PaymentDeclined():
            return replace(payment, status="declined")
        case PaymentCaptured():
            return replace(payment, status="captured", captured=event.amount)
        case PaymentVoided():
            return replace(payment, status="voided")
        case PaymentRefunded():
            refunded = payment.refunded + event.amount
            status = "refunded" if refunded >= payment.captured else payment.status
            return replace(payment, status=status, refunded=refunded)
        case PaymentMismatched():
            return replace(payment, status="mismatched")
        case PaymentRequested() | CaptureRequested() | VoidRequested() | RefundRequested():
            return payment
        case _:
            assert_never(event)


def _shipment(shipment: Shipment, event: ShippingEvent) -> Shipment:
    match event:
        case ShipmentCreated():
            return replace(shipment, status="created")
        case ShipmentDispatched():
            return replace(shipment, status="dispatched", carrier=event.carrier, tracking=event.tracking)
        case ShipmentDelivered():
            return replace(shipment, status="delivered")
        case ShipmentCancelled():
            return replace(shipment, status="cancelled")
        case ParcelReturned():
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
