"""What becomes of a shipment, what is refused, and what stays quiet."""

from __future__ import annotations

import pytest

from contexts.messages import Event, Units
from contexts.shipping.commands import (
    AbandonShipment,
    CancelShipment,
    CreateShipment,
    DeliverShipment,
    DispatchShipment,
    ResumeShipment,
    ShippingCommand,
)
from contexts.shipping.decider import Shipment, decide, evolve
from contexts.shipping.events import (
    ReturnReceived,
    ShipmentAbandoned,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentResumed,
)
from tests.spec import Spec

shipment = Spec(Shipment(), decide, evolve)

mugs = (Units(sku="MUG", quantity=2),)
create = CreateShipment(order_id="42", lines=mugs)
created = ShipmentCreated(order_id="42", lines=mugs)
dispatch = DispatchShipment(order_id="42", carrier="Royal Mail", tracking="RM1")
dispatched = ShipmentDispatched(order_id="42", carrier="Royal Mail", tracking="RM1")
deliver = DeliverShipment(order_id="42")
delivered = ShipmentDelivered(order_id="42")
cancel = CancelShipment(order_id="42")
cancelled = ShipmentCancelled(order_id="42")
abandon = AbandonShipment(order_id="42", reason="the provider lost the payment")
abandoned = ShipmentAbandoned(order_id="42", reason="the provider lost the payment")
resume = ResumeShipment(order_id="42")
resumed = ShipmentResumed(order_id="42")


def test_a_shipment_is_created() -> None:
    shipment.when(create).then(created)


@pytest.mark.parametrize("history", [[created], [created, dispatched], [created, dispatched, delivered]])
def test_creating_it_again_changes_nothing(history: list[Event]) -> None:
    shipment.given(*history).when(create).then_nothing()


def test_a_shipment_is_dispatched() -> None:
    shipment.given(created).when(dispatch).then(dispatched)


def test_dispatching_it_again_with_the_same_tracking_changes_nothing() -> None:
    shipment.given(created, dispatched).when(dispatch).then_nothing()
    shipment.given(created, dispatched, delivered).when(dispatch).then_nothing()


def test_a_shipment_has_one_tracking() -> None:
    other = DispatchShipment(order_id="42", carrier="DHL", tracking="D9")
    shipment.given(created, dispatched).when(other).then_rejected("dispatched")


def test_a_shipment_is_delivered() -> None:
    shipment.given(created, dispatched).when(deliver).then(delivered)


def test_delivering_it_again_changes_nothing() -> None:
    shipment.given(created, dispatched, delivered).when(deliver).then_nothing()


def test_what_was_not_dispatched_cannot_be_delivered() -> None:
    shipment.given(created).when(deliver).then_rejected("deliver", "created")


def test_a_shipment_is_cancelled_before_it_leaves() -> None:
    shipment.given(created).when(cancel).then(cancelled)


def test_cancelling_it_again_changes_nothing() -> None:
    shipment.given(created, cancelled).when(cancel).then_nothing()


@pytest.mark.parametrize("history", [[created, dispatched], [created, dispatched, delivered]])
def test_what_has_left_cannot_be_cancelled(history: list[Event]) -> None:
    shipment.given(*history).when(cancel).then_rejected("cancel")


def test_a_shipment_cancelled_before_it_was_created_is_never_created() -> None:
    shipment.when(cancel).then(cancelled)
    shipment.given(cancelled).when(create).then_nothing()
    shipment.given(cancelled).when(dispatch).then_rejected("cancelled")


@pytest.mark.parametrize(
    "history", [[], [created], [created, dispatched], [created, dispatched, delivered], [created, cancelled]]
)
def test_a_shipment_is_abandoned_and_resumed(history: list[Event]) -> None:
    shipment.given(*history).when(abandon).then(abandoned)
    shipment.given(*history, abandoned).when(abandon).then_nothing()
    shipment.given(*history, abandoned).when(resume).then(resumed)
    shipment.given(*history, abandoned, resumed).when(resume).then_nothing()


@pytest.mark.parametrize("command", [dispatch, deliver], ids=lambda it: type(it).__name__)
@pytest.mark.parametrize(
    "history",
    [
        [abandoned],
        [abandoned, created],
        [created, abandoned],
        [created, dispatched, abandoned],
        [created, dispatched, delivered, abandoned],
        [created, abandoned, cancelled],
    ],
)
def test_an_abandoned_parcel_stays_where_it_is(history: list[Event], command: ShippingCommand) -> None:
    shipment.given(*history).when(command).then_rejected("order 42 is abandoned")


def test_a_resumed_parcel_goes_on() -> None:
    shipment.given(created, abandoned, resumed).when(dispatch).then(dispatched)
    shipment.given(created, dispatched, abandoned, resumed).when(dispatch).then_nothing()
    shipment.given(created, dispatched, abandoned, resumed).when(deliver).then(delivered)


def test_a_return_that_an_old_log_tells_of_changes_nothing() -> None:
    came_back = ReturnReceived(order_id="42", number=1)
    assert shipment.given(created, dispatched, came_back).state == shipment.given(created, dispatched).state


@pytest.mark.parametrize("command", [dispatch, deliver], ids=lambda it: type(it).__name__)
def test_an_order_without_a_shipment_is_unknown(command: ShippingCommand) -> None:
    shipment.when(command).then_unknown("42")
