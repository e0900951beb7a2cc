"""The documents of products, stock, customers, shipments, sales and fulfilments."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import msgspec

from contexts.catalog.events import ProductDiscontinued, ProductReinstated, ProductRenamed, ProductRepriced
from contexts.customers.events import AddressChanged, CustomerForgotten, CustomerRegistered, EmailChanged
from contexts.fulfilment.events import (
    CommandFailed,
    FactParked,
    FactReleased,
    FulfilmentAbandoned,
    FulfilmentResumed,
    FulfilmentRetried,
    FulfilmentSettled,
    Stage,
    StepTaken,
)
from contexts.inventory.events import StockAdjusted, StockReserved, StockRestocked
from contexts.messages import Units
from contexts.shipping.events import ShipmentAbandoned, ShipmentCancelled, ShipmentResumed
from read_models.customers import CUSTOMERS
from read_models.fulfilments import FULFILMENTS
from read_models.products import PRODUCTS
from read_models.sales import SALES
from read_models.shipments import SHIPMENTS
from read_models.stock import STOCK
from tests.read_models.examples import (
    PERSONAL,
    added,
    allocated,
    cancelled,
    confirmed,
    freed,
    issued,
    parcel_created,
    parcel_delivered,
    parcel_dispatched,
    parcel_returned,
    placed,
    received,
    registered,
    return_accepted,
    sale,
)
from tests.read_models.history import at, given

MUG = {
    "sku": "MUG",
    "name": "White mug",
    "unit_price": 250,
    "currency": "GBP",
    "status": "active",
    "available": 0,
    "updated_at": at(1),
    "version": 1,
}


def test_a_product_is_active_with_its_price_and_nothing_available() -> None:
    given(PRODUCTS, ("product-MUG", added)).then("MUG", **MUG)


def test_a_product_counts_what_is_available() -> None:
    given(
        PRODUCTS,
        ("product-MUG", added),
        ("stock-MUG", received),
        ("stock-MUG", allocated),
        ("stock-MUG", issued),
        ("stock-MUG", StockRestocked(sku="MUG", order_id="42", return_id="r1", quantity=1)),
    ).then("MUG", **MUG | {"available": 7, "updated_at": at(5)})


def test_a_product_follows_its_name_price_and_discontinuation() -> None:
    given(
        PRODUCTS,
        ("product-MUG", added),
        ("product-MUG", ProductRenamed(sku="MUG", name="Blue mug")),
        ("product-MUG", ProductRepriced(sku="MUG", unit_price=300)),
        ("product-MUG", ProductDiscontinued(sku="MUG")),
    ).then(
        "MUG",
        **MUG
        | {
            "name": "Blue mug",
            "unit_price": 300,
            "status": "discontinued",
            "updated_at": at(4),
            "version": 4,
        },
    )


def test_a_reinstated_product_is_active_again() -> None:
    given(
        PRODUCTS,
        ("product-MUG", added),
        ("product-MUG", ProductDiscontinued(sku="MUG")),
        ("product-MUG", ProductReinstated(sku="MUG")),
    ).then("MUG", **MUG | {"updated_at": at(3), "version": 3})


def test_stock_tells_reserved_from_available_units() -> None:
    given(STOCK, ("stock-MUG", received), ("stock-MUG", allocated)).then(
        "MUG", sku="MUG", on_hand=10, reserved=4, available=6, updated_at=at(2), version=2
    )


def test_freed_units_are_available_and_issued_units_are_gone() -> None:
    given(
        STOCK,
        ("stock-MUG", received),
        ("stock-MUG", allocated),
        ("stock-MUG", freed),
        ("stock-MUG", allocated),
        ("stock-MUG", issued),
        ("stock-MUG", StockAdjusted(sku="MUG", delta=-1, reason="broken")),
    ).then("MUG", sku="MUG", on_hand=5, reserved=0, available=5, updated_at=at(6), version=6)


def test_an_orders_reservation_is_no_stock() -> None:
    reserved = StockReserved(order_id="42", lines=(Units(sku="MUG", quantity=1),))
    given(STOCK, ("reservation-42", reserved)).then_only()


def test_a_customers_newest_data_is_kept_encrypted() -> None:
    given(
        CUSTOMERS,
        ("customer-ann", CustomerRegistered(customer_id="ann", country="GB", personal="sealed1.YQ==")),
        ("customer-ann", EmailChanged(customer_id="ann", personal="sealed1.Yg==")),
        ("customer-ann", AddressChanged(customer_id="ann", country="GB", personal="sealed1.Yw==")),
    ).then(
        "ann",
        customer_id="ann",
        status="active",
        personal="sealed1.Yw==",
        updated_at=at(3),
        version=3,
    )


def test_nothing_personal_is_left_of_a_forgotten_customer() -> None:
    folded = given(
        CUSTOMERS, ("customer-ann", registered), ("customer-ann", CustomerForgotten(customer_id="ann"))
    ).then("ann", customer_id="ann", status="forgotten", personal=None, updated_at=at(2), version=2)
    stored = CUSTOMERS.stored("ann", folded._fold.documents()["ann"])
    for secret in (PERSONAL.name, PERSONAL.email, PERSONAL.address.line1, PERSONAL.address.postcode):
        assert secret.encode() not in stored


def test_a_shipment_has_its_way_and_the_times_of_it() -> None:
    given(
        SHIPMENTS,
        ("shipment-42", parcel_created),
        ("shipment-42", parcel_dispatched),
        ("shipment-42", parcel_delivered),
        ("shipment-42", parcel_returned),
    ).then(
        "42",
        order_id="42",
        status="delivered",
        lines=[{"sku": "MUG", "quantity": 2}],
        carrier="DHL",
        tracking="T1",
        returns_received=1,
        created_at=at(1),
        dispatched_at=at(2),
        delivered_at=at(3),
        updated_at=at(4),
        version=4,
    )


def test_a_shipment_may_be_cancelled_before_it_was_created() -> None:
    shipment = given(SHIPMENTS, ("shipment-42", ShipmentCancelled(order_id="42"))).document("42")
    assert shipment is not None
    assert (shipment["status"], shipment["version"]) == ("cancelled", 1)


def test_a_shipment_is_abandoned_until_it_is_resumed() -> None:
    history = [
        ("shipment-42", parcel_created),
        ("shipment-42", ShipmentAbandoned(order_id="42", reason="stuck")),
    ]
    shipment = given(SHIPMENTS, *history).document("42")
    assert shipment is not None
    assert (shipment["status"], shipment["abandoned"]) == ("created", True)
    shipment = given(SHIPMENTS, *history, ("shipment-42", ShipmentResumed(order_id="42"))).document("42")
    assert shipment is not None
    assert "abandoned" not in shipment


DAY = {"partition": 8, "day": "2010-12-01", "country": "GB", "currency": "GBP"}


def test_only_a_confirmed_order_is_sold() -> None:
    given(SALES, ("order-42", placed())).then_only()
    given(SALES, ("order-42", placed()), ("order-42", confirmed())).then(
        "8/2010-12-01/GB/GBP", **DAY, orders=1, units=2, revenue=500
    ).then_only("8/2010-12-01/GB/GBP")


def test_a_cancellation_after_confirmation_takes_the_sale_back_on_its_day() -> None:
    given(SALES, ("order-42", confirmed()), ("order-42", cancelled(taken=sale()))).then(
        "8/2010-12-01/GB/GBP", **DAY, orders=0, units=0, revenue=0
    )


def test_a_cancellation_before_confirmation_takes_nothing() -> None:
    given(SALES, ("order-42", cancelled())).then_only()


def test_a_return_takes_back_its_units_and_not_the_order() -> None:
    given(SALES, ("order-42", confirmed()), ("order-42", return_accepted)).then(
        "8/2010-12-01/GB/GBP", **DAY, orders=1, units=1, revenue=250
    )


def test_a_days_border_is_in_utc() -> None:
    sydney = datetime(2010, 12, 1, 9, 0, tzinfo=timezone(timedelta(hours=11)))
    given(SALES, ("order-42", confirmed(sold=sale(at=sydney)))).then_only("8/2010-11-30/GB/GBP")


def step(stage: Stage, *recovered: str) -> StepTaken:
    return StepTaken(order_id="42", heard=placed(), stage=stage, recovered=recovered)


FAILED = CommandFailed(
    order_id="42", command_id="fulfilment-42:1:1", command="inventory.ReserveStock", reason="no such SKU"
)
RESERVING = {
    "order_id": "42",
    "stage": "reserving",
    "waiting_since": at(1),
    "stuck": False,
    "problem": None,
    "failed": [],
    "heard": "ordering.OrderPlaced",
    "heard_at": at(1),
    "attempts": 1,
    "updated_at": at(1),
    "version": 1,
}
FAILURE = {
    "command_id": "fulfilment-42:1:1",
    "command": "inventory.ReserveStock",
    "reason": "no such SKU",
}
PROBLEM = "inventory.ReserveStock: no such SKU"


def test_a_fulfilment_waits_since_it_came_to_its_stage() -> None:
    given(FULFILMENTS, ("fulfilment-42", step(Stage.RESERVING))).then("42", **RESERVING)
    given(
        FULFILMENTS, ("fulfilment-42", step(Stage.RESERVING)), ("fulfilment-42", step(Stage.RESERVING))
    ).then("42", **RESERVING | {"heard_at": at(2), "updated_at": at(2), "version": 2})


def test_a_finished_fulfilment_waits_for_nothing() -> None:
    fulfilment = given(
        FULFILMENTS, ("fulfilment-42", step(Stage.RESERVING)), ("fulfilment-42", step(Stage.COMPLETED))
    ).document("42")
    assert fulfilment is not None
    assert (fulfilment["stage"], fulfilment["waiting_since"]) == ("completed", None)


def test_a_failed_command_makes_a_fulfilment_stuck() -> None:
    given(FULFILMENTS, ("fulfilment-42", step(Stage.RESERVING)), ("fulfilment-42", FAILED)).then(
        "42",
        **RESERVING
        | {"stuck": True, "problem": PROBLEM, "failed": [FAILURE], "updated_at": at(2), "version": 2},
    )


def test_a_retry_counts_and_unsticks() -> None:
    retried = FulfilmentRetried(order_id="42", command_ids=(FAILED.command_id,))
    given(
        FULFILMENTS,
        ("fulfilment-42", step(Stage.RESERVING)),
        ("fulfilment-42", FAILED),
        ("fulfilment-42", retried),
    ).then("42", **RESERVING | {"problem": PROBLEM, "attempts": 2, "updated_at": at(3), "version": 3})


def test_a_recovered_command_unsticks() -> None:
    fulfilment = given(
        FULFILMENTS,
        ("fulfilment-42", step(Stage.RESERVING)),
        ("fulfilment-42", FAILED),
        ("fulfilment-42", step(Stage.AUTHORIZING, FAILED.command_id)),
    ).document("42")
    assert fulfilment is not None
    assert (fulfilment["stuck"], fulfilment["failed"]) == (False, [])


ABANDONED = FulfilmentAbandoned(order_id="42", reason="by hand", outstanding=("stock reserved",))


def test_an_abandoned_fulfilment_waits_for_an_operator_and_tells_what_is_outstanding() -> None:
    given(
        FULFILMENTS,
        ("fulfilment-42", step(Stage.RESERVING)),
        ("fulfilment-42", FAILED),
        ("fulfilment-42", ABANDONED),
    ).then(
        "42",
        **RESERVING
        | {
            "stage": "abandoned",
            "waiting_since": at(3),
            "problem": "abandoned: by hand",
            "outstanding": ["stock reserved"],
            "updated_at": at(3),
            "version": 3,
        },
    )


def test_a_settled_fulfilment_is_over_and_tells_what_was_decided() -> None:
    settled = FulfilmentSettled(order_id="42", reason="lost", stage=Stage.SETTLED, stock="outside")
    fulfilment = given(
        FULFILMENTS,
        ("fulfilment-42", step(Stage.RESERVING)),
        ("fulfilment-42", ABANDONED),
        ("fulfilment-42", settled),
    ).document("42")
    assert fulfilment is not None
    assert (fulfilment["stage"], fulfilment["waiting_since"]) == ("settled", None)
    assert "outstanding" not in fulfilment
    assert fulfilment["settlement"] == {"reason": "lost", "payment": None, "amount": None, "stock": "outside"}


def test_a_resumed_fulfilment_goes_on_where_it_stands() -> None:
    resumed = FulfilmentResumed(order_id="42", reason="found", stage=Stage.RESERVING)
    fulfilment = given(
        FULFILMENTS,
        ("fulfilment-42", step(Stage.RESERVING)),
        ("fulfilment-42", ABANDONED),
        ("fulfilment-42", resumed),
    ).document("42")
    assert fulfilment is not None
    assert (fulfilment["stage"], fulfilment["attempts"]) == ("reserving", 2)
    assert "outstanding" not in fulfilment


def test_a_fact_that_does_not_fit_or_is_parked_makes_a_fulfilment_stuck() -> None:
    misfit = msgspec.structs.replace(step(Stage.AUTHORIZING), problem="1 GBP instead of 2 GBP")
    parked = FactParked(order_id="42", fact="shipping.ShipmentDispatched", place="shipping:17", reason="bad")
    released = FactReleased(order_id="42", place="shipping:17")
    for event in (misfit, parked):
        fulfilment = given(FULFILMENTS, ("fulfilment-42", event)).document("42")
        assert fulfilment is not None
        assert fulfilment["stuck"]
        assert len(fulfilment["failed"]) == 1
    fulfilment = given(FULFILMENTS, ("fulfilment-42", parked), ("fulfilment-42", released)).document("42")
    assert fulfilment is not None
    assert not fulfilment["stuck"]
