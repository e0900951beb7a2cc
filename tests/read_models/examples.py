"""Example events of one order's life, said once."""

from __future__ import annotations

from datetime import UTC, datetime

from contexts.catalog.events import ProductAdded
from contexts.customers.events import CustomerRegistered
from contexts.customers.personal_data import PersonalData
from contexts.inventory.events import StockAllocated, StockFreed, StockIssued, StockReceived
from contexts.messages import Units
from contexts.ordering.events import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderPlaced,
    ReturnAccepted,
    ReturnRequested,
)
from contexts.ordering.order_lines import OrderLine, Sale
from contexts.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from contexts.shipping.events import ReturnReceived, ShipmentCreated, ShipmentDelivered, ShipmentDispatched
from tests.support.examples import BRISTOL

PLACED_AT = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
MUGS = OrderLine(sku="MUG", name="White mug", quantity=2, unit_price=250)
PERSONAL = PersonalData(
    name="Ann Poe",
    email="ann@example.org",
    address=BRISTOL,
)


def placed(
    order_id: str = "42", *, at: datetime = PLACED_AT, customer_id: str = "ann", country: str = "GB"
) -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id,
        customer_id=customer_id,
        country=country,
        lines=(MUGS,),
        total=500,
        currency="GBP",
        payment_method="tok_approve",
        placed_at=at,
    )


def sale(
    *,
    orders: int = 1,
    units: int = 2,
    amount: int = 500,
    at: datetime = PLACED_AT,
    country: str = "GB",
    currency: str = "GBP",
) -> Sale:
    return Sale(placed_at=at, country=country, currency=currency, orders=orders, units=units, amount=amount)


def confirmed(order_id: str = "42", sold: Sale | None = None) -> OrderConfirmed:
    return OrderConfirmed(order_id=order_id, sale=sold or sale())


def cancelled(order_id: str = "42", taken: Sale | None = None) -> OrderCancelled:
    return OrderCancelled(order_id=order_id, reason="changed my mind", sale=taken)


dispatched = OrderDispatched(order_id="42", carrier="DHL", tracking="T1")
completed = OrderCompleted(order_id="42")
return_requested = ReturnRequested(
    order_id="42",
    return_id="r1",
    lines=(Units(sku="MUG", quantity=1),),
    reason="chipped",
    refund=250,
    currency="GBP",
)
return_accepted = ReturnAccepted(
    order_id="42",
    return_id="r1",
    lines=(Units(sku="MUG", quantity=1),),
    refund=250,
    sale=sale(orders=0, units=1, amount=250),
)

authorized = PaymentAuthorized(order_id="42", amount=500, currency="GBP", reference="p-1")
declined = PaymentDeclined(order_id="42", reason="card declined")
captured = PaymentCaptured(order_id="42", amount=500, currency="GBP")
voided = PaymentVoided(order_id="42")
refunded = PaymentRefunded(order_id="42", return_id="r1", amount=250, currency="GBP")
refunded_rest = PaymentRefunded(order_id="42", return_id="r2", amount=250, currency="GBP")

parcel_created = ShipmentCreated(order_id="42", lines=(Units(sku="MUG", quantity=2),))
parcel_dispatched = ShipmentDispatched(order_id="42", carrier="DHL", tracking="T1")
parcel_delivered = ShipmentDelivered(order_id="42")
parcel_returned = ReturnReceived(order_id="42", number=1)

added = ProductAdded(sku="MUG", name="White mug", unit_price=250, currency="GBP")
received = StockReceived(sku="MUG", quantity=10)
allocated = StockAllocated(sku="MUG", order_id="42", quantity=4)
freed = StockFreed(sku="MUG", order_id="42", quantity=4)
issued = StockIssued(sku="MUG", order_id="42", quantity=4)

registered = CustomerRegistered(customer_id="ann", country="GB", personal=PERSONAL)
