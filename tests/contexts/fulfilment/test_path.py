"""An order that goes well, from placed to completed, and its returns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contexts.fulfilment.events import Stage, Timer
from contexts.fulfilment.steps import Fact
from tests.contexts.fulfilment.messages import (
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
from tests.contexts.fulfilment.story import Story

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


def test_a_dispatched_order_leaves_the_stock_and_is_charged() -> None:
    """Ordering is told first: from then on nobody can cancel, however long the provider is away."""
    order.given(*to_confirmed).when(dispatched).then(Stage.DISPATCHED, mark, ship_reservation, capture)


def test_a_delivered_order_is_completed_when_it_is_paid_for() -> None:
    """Completed means paid and delivered, whichever is heard last."""
    order.given(*to_dispatched, captured).when(delivered).then(Stage.DISPATCHED, complete)
    order.given(*to_dispatched).when(delivered).then(Stage.DISPATCHED)
    order.given(*to_dispatched, delivered).when(captured).then(Stage.DISPATCHED, complete)


def test_a_delivery_heard_before_the_dispatch_is_remembered() -> None:
    """Once the dispatch is heard, everything is asked for in its order."""
    early = order.given(*to_confirmed, delivered)
    early.when(dispatched).then(Stage.DISPATCHED, mark, ship_reservation, capture)


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
    refused_at_the_door = order.given(*to_dispatched, captured, left_stock, return_received("r1"))
    refused_at_the_door.when(accepted_return("r1")).then(Stage.DISPATCHED)
    refused_at_the_door.when(accepted_return("r1", whole=True)).then(Stage.COMPLETED)


def test_facts_that_only_confirm_what_was_asked_for_are_not_recorded() -> None:
    """They would make the saga's log longer and no decision different."""
    order.given(*to_authorized).when(created).then_nothing_happened()
    order.given(*to_dispatched).when(marked).then_nothing_happened()


def test_a_return_is_taken_back_when_it_is_received() -> None:
    """Stock, money and order, in this order; the fulfilment stays completed."""
    order.given(*to_completed, return_requested("r1")).when(return_received("r1")).then(
        Stage.COMPLETED, *take_back("r1")
    )


def test_units_that_are_written_off_do_not_go_back_into_stock() -> None:
    """They are refunded all the same."""
    order.given(*to_completed).when(return_received("r1", written_off=1)).then(
        Stage.COMPLETED, *take_back("r1")[1:]
    )


def test_a_return_received_before_the_payment_is_captured_waits_for_it() -> None:
    """What was not collected cannot be refunded; what is not out of stock cannot come back."""
    early = order.given(*to_dispatched, return_received("r1"))
    early.when(left_stock).then(Stage.DISPATCHED)
    early.given(left_stock).when(captured).then(Stage.DISPATCHED, *take_back("r1"))


def test_each_return_is_refunded_what_was_received_of_it() -> None:
    """Whichever comes first: a return has an identity."""
    two = order.given(*to_completed, return_requested("r1", 100), return_requested("r2", 200))
    two.when(return_received("r2", 200)).then(Stage.COMPLETED, *take_back("r2", 200))
    two.given(return_received("r2", 200)).when(return_received("r1", 50)).then(
        Stage.COMPLETED, *take_back("r1", 50)
    )


def test_a_return_is_taken_back_once() -> None:
    """The request, the parcel and what confirms them may be heard again."""
    life = (
        return_requested("r1"),
        return_received("r1"),
        restocked("r1"),
        refunded("r1"),
        accepted_return("r1"),
    )
    done = order.given(*to_completed, *life)
    assert done.saga.returns == ()
    for again in life:
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


@given(st.permutations(to_completed[1:]))
def test_facts_heard_before_the_order_count_once_it_is_heard(facts: list[Fact]) -> None:
    """A saga that lost its store receives the contexts in any order; what was done is not asked for again."""
    story = order
    for fact in facts:
        story.when(fact).then_remembered()
        story = story.given(fact)
        story.when(fact).then_nothing_happened()
    step = story.when(placed).step
    assert step is not None
    assert step.stage is Stage.COMPLETED
    assert step.timers_set == ()
    assert step.commands == ()
    assert story.given(placed).saga.early == ()


@given(st.permutations(to_confirmed[1:]), st.integers(0, len(to_confirmed) - 1))
def test_an_order_heard_in_the_middle_of_its_facts_is_never_given_up(facts: list[Fact], begin: int) -> None:
    """Whatever was heard before and after it: at the end no timer runs and nothing is undone."""
    story = order.given(*facts[:begin], placed, *facts[begin:])
    assert story.saga.stage is Stage.AWAITING_DISPATCH
    assert story.saga.timers == frozenset()
    assert story.saga.undoing == ""
