"""One order, told in the messages the saga receives and sends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contexts.fulfilment.steps import TimerFired
from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import (
    ReservationReleased,
    ReservationShipped,
    Shortage,
    StockRefused,
    StockReserved,
    StockReturned,
)
from contexts.messages import Units
from contexts.ordering.commands import (
    AcceptReturn,
    ApproveCancellation,
    CompleteOrder,
    ConfirmOrder,
    MarkDispatched,
)
from contexts.ordering.events import (
    CancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderPlaced,
    ReturnAccepted,
    ReturnReceived,
    ReturnRequested,
)
from contexts.ordering.order_lines import OrderLine, ReceivedLine, Sale
from contexts.payments.commands import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from contexts.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentMismatched,
    PaymentRefunded,
    PaymentVoided,
)
from contexts.shipping.commands import CancelShipment, CreateShipment
from contexts.shipping.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
)

ORDER = "42"
NOON = datetime(2010, 12, 1, 12, tzinfo=UTC)
TIMEOUT = timedelta(minutes=15)
SALE = Sale(placed_at=NOON, country="GB", currency="GBP", orders=1, units=3, amount=2900)

placed = OrderPlaced(
    order_id=ORDER,
    customer_id="c1",
    country="GB",
    lines=(
        OrderLine(sku="MUG", name="Mug", quantity=1, unit_price=900),
        OrderLine(sku="POT", name="Pot", quantity=1, unit_price=1200),
        OrderLine(sku="MUG", name="Mug", quantity=1, unit_price=800),
    ),
    total=2900,
    currency="GBP",
    payment_method="tok_approve",
    placed_at=NOON,
)
stock = (Units(sku="MUG", quantity=2), Units(sku="POT", quantity=1))
parcel = (Units(sku="MUG", quantity=2), Units(sku="POT", quantity=1))

reserved = StockReserved(order_id=ORDER, lines=stock)
refused = StockRefused(order_id=ORDER, shortages=(Shortage(sku="POT", wanted=1, available=0),))
released = ReservationReleased(order_id=ORDER, lines=stock)
left_stock = ReservationShipped(order_id=ORDER, lines=stock)
authorized = PaymentAuthorized(order_id=ORDER, amount=2900, currency="GBP", reference="p-1")
declined = PaymentDeclined(order_id=ORDER, reason="insufficient funds")
captured = PaymentCaptured(order_id=ORDER, amount=2900, currency="GBP")
voided = PaymentVoided(order_id=ORDER)
confirmed = OrderConfirmed(order_id=ORDER, sale=SALE)
mismatched = PaymentMismatched(order_id=ORDER, amount=1, currency="GBP", reason="another amount")
cancellation_requested = CancellationRequested(order_id=ORDER, reason="changed my mind")
cancelled = OrderCancelled(order_id=ORDER, reason="changed my mind")
marked = OrderDispatched(order_id=ORDER, carrier="DHL", tracking="T1")
completed = OrderCompleted(order_id=ORDER)
created = ShipmentCreated(order_id=ORDER, lines=parcel)
dispatched = ShipmentDispatched(order_id=ORDER, carrier="DHL", tracking="T1")
delivered = ShipmentDelivered(order_id=ORDER)
stopped = ShipmentCancelled(order_id=ORDER)
payment_due = TimerFired(order_id=ORDER, timer="payment")

reserve = ReserveStock(order_id=ORDER, lines=stock)
release = ReleaseReservation(order_id=ORDER)
ship_reservation = ShipReservation(order_id=ORDER)
authorize = AuthorizePayment(order_id=ORDER, amount=2900, currency="GBP", payment_method="tok_approve")
capture = CapturePayment(order_id=ORDER)
void = VoidPayment(order_id=ORDER)
confirm = ConfirmOrder(order_id=ORDER)
mark = MarkDispatched(order_id=ORDER, carrier="DHL", tracking="T1")
complete = CompleteOrder(order_id=ORDER)
create_shipment = CreateShipment(order_id=ORDER, lines=parcel)
cancel_shipment = CancelShipment(order_id=ORDER)


def cancel(reason: str) -> ApproveCancellation:
    return ApproveCancellation(order_id=ORDER, reason=reason)


def return_requested(return_id: str, refund: int = 900) -> ReturnRequested:
    return ReturnRequested(
        order_id=ORDER,
        return_id=return_id,
        lines=(Units(sku="MUG", quantity=1),),
        reason="chipped",
        refund=refund,
        currency="GBP",
    )


def return_received(return_id: str, refund: int = 900, *, written_off: int = 0) -> ReturnReceived:
    line = ReceivedLine(sku="MUG", restocked=1 - written_off, written_off=written_off)
    return ReturnReceived(order_id=ORDER, return_id=return_id, lines=(line,), refund=refund, currency="GBP")


def take_back(return_id: str, refund: int = 900) -> tuple[ReturnStock, RefundPayment, AcceptReturn]:
    lines = (Units(sku="MUG", quantity=1),)
    return (
        ReturnStock(order_id=ORDER, return_id=return_id, lines=lines),
        RefundPayment(order_id=ORDER, return_id=return_id, amount=refund),
        AcceptReturn(order_id=ORDER, return_id=return_id),
    )


def restocked(return_id: str) -> StockReturned:
    return StockReturned(order_id=ORDER, return_id=return_id, lines=(Units(sku="MUG", quantity=1),))


def refunded(return_id: str, amount: int = 900) -> PaymentRefunded:
    return PaymentRefunded(order_id=ORDER, return_id=return_id, amount=amount, currency="GBP")


def accepted_return(return_id: str, *, whole: bool = False) -> ReturnAccepted:
    return ReturnAccepted(
        order_id=ORDER,
        return_id=return_id,
        lines=(Units(sku="MUG", quantity=1),),
        refund=900,
        sale=SALE,
        whole=whole,
    )


to_reserved = (placed, reserved)
to_authorized = (*to_reserved, authorized)
to_confirmed = (*to_authorized, confirmed, created)
to_dispatched = (*to_confirmed, dispatched)
to_completed = (*to_dispatched, captured, left_stock, marked, delivered, completed)
