"""Orders that do not go well: what was done is undone in reverse order, and late facts change nothing."""

from __future__ import annotations

import pytest

from contexts.fulfilment.events import Fact, Stage
from contexts.inventory.events import Shortage, StockRefused
from contexts.ordering.commands import CancelOrder
from tests.sagas.messages import (
    ORDER,
    authorized,
    cancel,
    cancel_shipment,
    cancelled,
    captured,
    completed,
    confirmed,
    created,
    declined,
    delivered,
    dispatched,
    left_stock,
    payment_due,
    placed,
    refused,
    release,
    released,
    reserved,
    stopped,
    to_authorized,
    to_confirmed,
    to_dispatched,
    to_reserved,
    void,
    voided,
)
from tests.sagas.story import Story

order = Story()


def test_an_order_out_of_stock_is_cancelled() -> None:
    """Nothing was reserved, so nothing is released."""
    order.given(placed).when(refused).then(Stage.COMPENSATING, cancel("out of stock: POT (0 of 1)"))
    order.given(placed, refused).when(cancelled).then(Stage.CANCELLED)


def test_a_long_list_of_shortages_fits_into_a_reason() -> None:
    """A reason has at most 500 characters; an order may be short of 2,000 SKUs."""
    shortages = tuple(Shortage(sku=f"SKU-{n}", wanted=2, available=1) for n in range(2000))
    step = order.given(placed).when(StockRefused(order_id=ORDER, shortages=shortages)).step
    assert step is not None
    (command,) = step.commands
    assert isinstance(command, CancelOrder)
    assert len(command.reason) == 500
    assert command.reason.startswith("out of stock: SKU-0 (1 of 2), ")


def test_a_declined_order_is_released_and_cancelled() -> None:
    """No money is held, and the timer no longer runs."""
    order.given(*to_reserved).when(declined).then(
        Stage.COMPENSATING, release, cancel("payment declined: insufficient funds")
    ).without_timer("payment")


def test_a_payment_that_is_not_answered_in_time_is_voided() -> None:
    """It may still be approved later: the void makes sure that nothing is held then."""
    order.given(*to_reserved).when(payment_due).then(
        Stage.COMPENSATING, void, release, cancel("payment timed out")
    ).without_timer()


def test_an_approval_after_the_timeout_changes_nothing() -> None:
    """The void was asked for, and payments undoes what came before it."""
    order.given(*to_reserved, payment_due).when(authorized).then_nothing_happened()


def test_a_refusal_after_the_timeout_takes_the_place_of_the_void() -> None:
    """A declined payment holds no money, so there is nothing to wait for."""
    late = order.given(*to_reserved, payment_due, released, cancelled)
    late.when(declined).then(Stage.CANCELLED)


def test_a_timer_that_fires_late_changes_nothing() -> None:
    """It was cancelled, but an alarm clock may ring all the same."""
    for history in (to_authorized, (*to_reserved, declined), (*to_reserved, cancelled), (placed,)):
        order.given(*history).when(payment_due).then_nothing_happened()


def test_a_customer_may_cancel_while_stock_is_being_reserved() -> None:
    """The reservation's outcome is not known: it is released either way, and none is made afterwards."""
    waiting = order.given(placed)
    waiting.when(cancelled).then(Stage.COMPENSATING, release)
    waiting.given(cancelled).when(released).then(Stage.CANCELLED)
    waiting.given(cancelled).when(reserved).then_nothing_happened()
    waiting.given(cancelled).when(refused).then(Stage.CANCELLED)


def test_a_customer_may_cancel_while_paying() -> None:
    """The payment's outcome is not known: it is voided either way."""
    order.given(*to_reserved).when(cancelled).then(Stage.COMPENSATING, void, release).without_timer("payment")


def test_a_customer_may_cancel_while_the_order_is_being_confirmed() -> None:
    """The parcel is stopped first: only then can money and stock be let go."""
    order.given(*to_authorized).when(cancelled).then(Stage.COMPENSATING, cancel_shipment)


def test_a_customer_may_cancel_a_confirmed_order() -> None:
    """In reverse order of what was done: the shipment, the payment, the reservation."""
    order.given(*to_confirmed).when(cancelled).then(Stage.COMPENSATING, cancel_shipment)
    order.given(*to_confirmed, cancelled).when(stopped).then(Stage.COMPENSATING, void, release)


def test_money_and_stock_are_kept_while_the_parcel_may_have_left() -> None:
    """Shipping may have dispatched it before the cancellation came: then goods would be given away."""
    order.given(*to_confirmed, cancelled).when(dispatched).then_nothing_happened()


@pytest.mark.parametrize("last", [stopped, voided, released])
def test_a_cancelled_order_ends_when_all_of_it_is_undone(last: Fact) -> None:
    """A compensation counts when its fact is heard, not when it was asked for."""
    undone = [fact for fact in (stopped, voided, released) if fact is not last]
    story = order.given(*to_confirmed, cancelled, *undone)
    assert story.saga.stage is Stage.COMPENSATING
    step = story.when(last).step
    assert step is not None
    ended = story.given(last)
    if last is stopped:
        # The other two were heard before they were asked for: nothing is asked for twice.
        assert step.commands == ()
    assert ended.saga.stage is Stage.CANCELLED


def test_a_cancellation_after_the_dispatch_undoes_nothing() -> None:
    """The parcel has left; what ordering refuses now is seen as a failure, and the order is not completed."""
    late = order.given(*to_dispatched, cancelled)
    assert late.saga.stage is Stage.DISPATCHED
    late.when(delivered).then(Stage.DISPATCHED)


def test_a_warehouse_that_cancels_a_shipment_cancels_the_order() -> None:
    """Nobody asked for it, but an order without a parcel must end as well."""
    order.given(*to_confirmed).when(stopped).then(
        Stage.COMPENSATING, void, release, cancel("shipment cancelled")
    )


def test_late_facts_change_nothing_in_a_cancelled_order() -> None:
    """One terminal stage per order, whatever is heard afterwards."""
    ended = order.given(*to_confirmed, cancelled, stopped, voided, released)
    assert ended.saga.stage is Stage.CANCELLED
    for fact in (
        placed,
        reserved,
        refused,
        authorized,
        declined,
        confirmed,
        created,
        dispatched,
        delivered,
        captured,
        left_stock,
        completed,
        payment_due,
    ):
        ended.when(fact).then_nothing_happened()


def test_every_repeated_fact_changes_nothing_while_compensating() -> None:
    """At every point of the way back, everything heard so far is heard again."""
    way_back = (*to_confirmed, cancelled, stopped, voided, released)
    for length in range(1, len(way_back) + 1):
        story = order.given(*way_back[:length])
        for fact in way_back[:length]:
            story.when(fact).then_nothing_happened()
