"""The order document: each context's events change their own part of it."""

from __future__ import annotations

from typing import Any

import msgspec

from contexts.messages import Event
from contexts.ordering.events import (
    CancellationRefused,
    CancellationRequested,
    OrderAbandoned,
    OrderResumed,
    ReturnReceived,
    ReturnRefused,
    ReturnWithdrawn,
)
from contexts.ordering.order_lines import ReceivedLine
from read_models.orders import ORDERS
from tests.read_models.examples import (
    authorized,
    cancelled,
    captured,
    completed,
    confirmed,
    declined,
    dispatched,
    parcel_created,
    parcel_delivered,
    parcel_dispatched,
    parcel_returned,
    placed,
    refunded,
    refunded_rest,
    return_accepted,
    return_requested,
    sale,
    voided,
)
from tests.read_models.history import at, given

UNPAID = {"status": "none", "authorized": 0, "captured": 0, "refunded": 0}
UNSHIPPED = {"status": "none", "carrier": None, "tracking": None}
PLACED = {
    "order_id": "42",
    "customer_id": "ann",
    "status": "placed",
    "lines": [{"sku": "MUG", "name": "White mug", "quantity": 2, "unit_price": 250}],
    "total": 500,
    "currency": "GBP",
    "payment": UNPAID,
    "shipment": UNSHIPPED,
    "returns": [],
    "placed_at": "2010-12-01T08:26:00.000000Z",
    "updated_at": at(1),
    "version": 1,
}


def test_a_placed_order_has_its_lines_and_no_payment_or_shipment() -> None:
    given(ORDERS, ("order-42", placed())).then("42", **PLACED)


def test_a_delivered_order_shows_what_was_paid_and_how_it_was_sent() -> None:
    given(
        ORDERS,
        ("order-42", placed()),
        ("payment-42", authorized),
        ("order-42", confirmed()),
        ("shipment-42", parcel_created),
        ("shipment-42", parcel_dispatched),
        ("payment-42", captured),
        ("order-42", dispatched),
        ("shipment-42", parcel_delivered),
        ("order-42", completed),
    ).then(
        "42",
        **PLACED
        | {
            "status": "completed",
            "payment": {"status": "captured", "authorized": 500, "captured": 500, "refunded": 0},
            "shipment": {"status": "delivered", "carrier": "DHL", "tracking": "T1"},
            "updated_at": at(9),
            "version": 4,
        },
    )


def test_a_cancelled_order_says_why() -> None:
    given(ORDERS, ("order-42", placed()), ("payment-42", declined), ("order-42", cancelled())).then(
        "42",
        **PLACED
        | {
            "status": "cancelled",
            "payment": UNPAID | {"status": "declined"},
            "updated_at": at(3),
            "version": 2,
            "cancelled_reason": "changed my mind",
        },
    )


def test_a_void_keeps_what_had_been_authorized() -> None:
    order = given(
        ORDERS, ("order-42", placed()), ("payment-42", authorized), ("payment-42", voided)
    ).document("42")
    assert order is not None
    assert order["payment"] == {"status": "voided", "authorized": 500, "captured": 0, "refunded": 0}


def test_a_return_of_some_lines_leaves_the_order_completed_and_the_payment_captured() -> None:
    order = given(
        ORDERS,
        ("order-42", placed()),
        ("payment-42", captured),
        ("order-42", completed),
        ("order-42", return_requested),
        ("shipment-42", parcel_returned),
        ("payment-42", refunded),
        ("order-42", return_accepted),
    ).document("42")
    assert order is not None
    assert order["status"] == "completed"
    assert order["payment"] == {"status": "captured", "authorized": 0, "captured": 500, "refunded": 250}
    assert order["returns"] == [
        {
            "return_id": "r1",
            "status": "accepted",
            "lines": [{"sku": "MUG", "quantity": 1}],
            "reason": "chipped",
            "refund": 250,
        }
    ]


def test_a_return_of_everything_makes_the_order_returned_and_the_payment_refunded() -> None:
    everything = msgspec.structs.replace(return_accepted, sale=sale(units=1, amount=250), whole=True)
    order = given(
        ORDERS,
        ("order-42", placed()),
        ("payment-42", captured),
        ("order-42", completed),
        ("payment-42", refunded),
        ("payment-42", refunded_rest),
        ("order-42", everything),
    ).document("42")
    assert order is not None
    assert order["status"] == "returned"
    assert order["payment"]["status"] == "refunded"


def returns_of(*events: Event) -> list[Any]:
    """The returns of an order once these have happened to it."""
    order = given(ORDERS, ("order-42", placed()), *(("order-42", event) for event in events)).document("42")
    assert order is not None
    return list(order["returns"])


def test_a_received_return_says_what_came_and_what_is_refunded_for_it() -> None:
    came = ReturnReceived(
        order_id="42",
        return_id="r1",
        lines=(ReceivedLine(sku="MUG", restocked=1, written_off=2),),
        refund=700,
        currency="GBP",
    )
    asked = {
        "return_id": "r1",
        "lines": [{"sku": "MUG", "quantity": 1}],
        "reason": "chipped",
    }
    received = [{"sku": "MUG", "restocked": 1, "written_off": 2}]
    assert returns_of(return_requested) == [{**asked, "status": "requested", "refund": 250}]
    assert returns_of(return_requested, came) == [
        {**asked, "status": "received", "refund": 700, "received": received}
    ]
    assert returns_of(return_requested, came, return_accepted) == [
        {**asked, "status": "accepted", "refund": 700, "received": received}
    ]


def test_a_return_that_is_not_taken_says_so() -> None:
    other = msgspec.structs.replace(return_requested, return_id="r2")
    returns = returns_of(
        return_requested,
        other,
        ReturnRefused(order_id="42", return_id="r1", reason="worn"),
        ReturnWithdrawn(order_id="42", return_id="r2"),
    )
    assert [(it["return_id"], it["status"], it.get("refused_reason")) for it in returns] == [
        ("r1", "refused", "worn"),
        ("r2", "withdrawn", None),
    ]


def test_a_requested_cancellation_is_shown_until_it_is_decided() -> None:
    wanted = CancellationRequested(order_id="42", reason="changed my mind")
    history = [("order-42", placed()), ("order-42", confirmed()), ("order-42", wanted)]
    order = given(ORDERS, *history).document("42")
    assert order is not None
    assert order["status"] == "confirmed"
    assert order["cancellation"] == {"status": "requested", "reason": "changed my mind"}

    order = given(ORDERS, *history, ("order-42", cancelled())).document("42")
    assert order is not None
    assert (order["status"], order["cancelled_reason"]) == ("cancelled", "changed my mind")
    assert "cancellation" not in order

    left = CancellationRefused(order_id="42", reason="dispatched")
    order = given(ORDERS, *history, ("order-42", left), ("order-42", dispatched)).document("42")
    assert order is not None
    assert order["status"] == "dispatched"
    assert order["cancellation"] == {"status": "refused", "reason": "dispatched"}


def test_an_order_is_abandoned_until_it_is_resumed() -> None:
    history = [("order-42", placed()), ("order-42", OrderAbandoned(order_id="42", reason="stuck"))]
    order = given(ORDERS, *history).document("42")
    assert order is not None
    assert (order["status"], order["abandoned"]) == ("placed", True)
    given(ORDERS, *history, ("order-42", OrderResumed(order_id="42"))).then(
        "42", **PLACED | {"updated_at": at(3), "version": 3}
    )


def test_updated_at_is_the_latest_time_and_not_the_last_heard() -> None:
    order = given(ORDERS, ("payment-42", authorized), ("order-42", placed())).document("42")
    late = given(ORDERS, ("order-42", placed()), ("payment-42", authorized)).document("42")
    assert order is not None
    assert late is not None
    assert order["updated_at"] == late["updated_at"] == at(2)
