"""An order that goes well, from placed to completed, and its returns."""

from __future__ import annotations

from contexts.fulfilment.events import Stage, Timer
from tests.sagas.messages import (
    NOON,
    TIMEOUT,
    accepted_return,
    authorize,
    authorized,
    cancelled,
    capture,
    captured,
    complete,
    completed,
    confirm,
    confirmed,
    create_shipment,
    created,
    delivered,
    dispatched,
    left_stock,
    mark,
    marked,
    placed,
    refunded,
    reserve,
    reserved,
    restocked,
    return_received,
    return_requested,
    ship_reservation,
    take_back,
    to_authorized,
    to_completed,
    to_confirmed,
    to_dispatched,
    to_reserved,
)
from tests.sagas.story import Story

order = Story()


def test_a_placed_order_has_its_stock_reserved_with_one_line_per_sku() -> None:
    """The order has a SKU at two prices."""
    order.when(placed).then(Stage.RESERVING, reserve)


def test_a_reserved_order_is_paid_for_within_the_time_for_it() -> None:
    """The timer is set in the same step that asks for the payment."""
    order.given(placed).when(reserved).then(Stage.AUTHORIZING, authorize).with_timer(
        Timer(name="payment", due=NOON + TIMEOUT)
    )


def test_a_paid_order_is_confirmed_and_gets_its_shipment() -> None:
    """The payment no longer runs against time."""
    order.given(*to_reserved).when(authorized).then(Stage.CONFIRMING, confirm, create_shipment).without_timer(
        "payment"
    )


def test_a_confirmed_order_waits_for_its_dispatch() -> None:
    """Nothing is to be asked for until the parcel leaves."""
    order.given(*to_authorized).when(confirmed).then(Stage.AWAITING_DISPATCH)


def test_a_dispatched_order_is_charged_and_leaves_the_stock() -> None:
    """The money is collected when the parcel has left, not before."""
    order.given(*to_confirmed).when(dispatched).then(Stage.DISPATCHED, capture, ship_reservation, mark)


def test_a_delivered_order_is_completed() -> None:
    """Ordering is told when the parcel has arrived."""
    order.given(*to_dispatched).when(delivered).then(Stage.DISPATCHED, complete)


def test_a_delivery_heard_before_the_dispatch_is_remembered() -> None:
    """Once the dispatch is heard, everything is asked for in its order."""
    early = order.given(*to_confirmed, delivered)
    early.when(dispatched).then(Stage.DISPATCHED, capture, ship_reservation, mark, complete)


def test_fulfilment_is_completed_only_when_charged_shipped_and_completed() -> None:
    """The three facts come from three contexts, in any order."""
    ends = (captured, left_stock, completed)
    for last in ends:
        others = [fact for fact in ends if fact is not last]
        story = order.given(*to_dispatched, delivered, *others)
        assert story.saga.stage is Stage.DISPATCHED
        story.when(last).then(Stage.COMPLETED)


def test_an_order_that_comes_back_whole_before_its_delivery_is_completed_as_well() -> None:
    """Refused at the door: ordering does not complete it any more, and nothing is left to be done."""
    refused_at_the_door = order.given(
        *to_dispatched, captured, left_stock, return_requested("r1"), return_received(1)
    )
    refused_at_the_door.when(accepted_return("r1")).then_nothing_happened()
    refused_at_the_door.when(accepted_return("r1", whole=True)).then(Stage.COMPLETED)


def test_facts_that_only_confirm_what_was_asked_for_are_not_recorded() -> None:
    """They would make the saga's log longer and no decision different."""
    order.given(*to_authorized).when(created).then_nothing_happened()
    order.given(*to_dispatched).when(marked).then_nothing_happened()


def test_a_return_is_taken_back_when_its_parcel_arrives() -> None:
    """Stock, money and order, in this order; the fulfilment stays completed."""
    order.given(*to_completed, return_requested("r1")).when(return_received(1)).then(
        Stage.COMPLETED, *take_back("r1")
    )


def test_a_parcel_that_arrives_before_its_request_is_remembered() -> None:
    """Ordering and shipping are heard in any order."""
    order.given(*to_completed, return_received(1)).when(return_requested("r1")).then(
        Stage.COMPLETED, *take_back("r1")
    )


def test_parcels_are_matched_with_the_oldest_return_first() -> None:
    """A parcel says only which order it belongs to."""
    two = order.given(*to_completed, return_requested("r1", 100), return_requested("r2", 200))
    two.when(return_received(1)).then(Stage.COMPLETED, *take_back("r1", 100))
    two.given(return_received(1)).when(return_received(2)).then(Stage.COMPLETED, *take_back("r2", 200))


def test_a_return_is_taken_back_once() -> None:
    """The request, the parcel and what confirms them may be heard again."""
    done = order.given(*to_completed, return_requested("r1"), return_received(1))
    for again in (
        return_requested("r1"),
        return_received(1),
        restocked("r1"),
        refunded("r1"),
        accepted_return("r1"),
    ):
        done.when(again).then_nothing_happened()


def test_a_completed_order_is_never_cancelled_afterwards() -> None:
    """One terminal stage per order."""
    order.given(*to_completed).when(cancelled).then_nothing_happened()
    order.given(*to_completed, return_requested("r1")).when(cancelled).then_nothing_happened()


def test_every_repeated_fact_changes_nothing() -> None:
    """At every point of the path, everything heard so far is heard again."""
    for length in range(1, len(to_completed) + 1):
        story = order.given(*to_completed[:length])
        for fact in to_completed[:length]:
            story.when(fact).then_nothing_happened()


def test_facts_about_an_order_that_was_not_placed_change_nothing() -> None:
    """A saga begins with the order."""
    for fact in (*to_completed[1:], cancelled, return_requested("r1"), return_received(1)):
        order.when(fact).then_nothing_happened()
