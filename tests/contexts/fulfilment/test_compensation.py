"""Orders that do not go well: what was done is undone in reverse order, and late facts change nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contexts.fulfilment.commands import RetryFulfilment
from contexts.fulfilment.events import Stage
from contexts.fulfilment.steps import Fact
from contexts.inventory.events import Shortage, StockRefused
from contexts.messages import Rejected
from contexts.ordering.commands import ApproveCancellation
from tests.contexts.fulfilment.messages import (
    ORDER,
    authorized,
    cancel,
    cancel_shipment,
    cancellation_requested,
    cancelled,
    capture,
    captured,
    completed,
    confirmed,
    created,
    declined,
    delivered,
    dispatched,
    left_stock,
    mark,
    mismatched,
    payment_due,
    placed,
    refused,
    release,
    released,
    reserved,
    ship_reservation,
    stopped,
    to_authorized,
    to_completed,
    to_confirmed,
    to_dispatched,
    to_reserved,
    void,
    voided,
)
from tests.contexts.fulfilment.story import Story

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
    assert isinstance(command, ApproveCancellation)
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


def test_an_approval_after_the_timeout_is_voided_like_the_request() -> None:
    """The void was asked for, and payments undoes what came before it: nothing is asked for twice."""
    order.given(*to_reserved, payment_due).when(authorized).then(Stage.COMPENSATING)


def test_an_order_is_not_cancelled_while_money_may_be_held() -> None:
    """Cancelled means that nothing is held: a late approval has to be voided first."""
    late = order.given(*to_reserved, payment_due, released, cancelled, authorized)
    assert late.saga.stage is Stage.COMPENSATING
    late.when(voided).then(Stage.CANCELLED)


def test_an_approval_of_a_declined_payment_is_voided() -> None:
    """The order was given up because of the refusal; now money is held for it."""
    undoing = order.given(*to_reserved, declined)
    undoing.when(authorized).then(Stage.COMPENSATING, void)
    ended = order.given(*to_reserved, declined, released, cancelled)
    assert ended.saga.stage is Stage.CANCELLED
    ended.when(authorized).then(Stage.CANCELLED, void)
    ended.given(authorized).when(voided).then(Stage.CANCELLED)


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


def test_a_requested_cancellation_is_decided_by_the_shipment() -> None:
    """Stopped in time, all is undone; dispatched before that, ordering refuses the cancellation."""
    asked = order.given(*to_confirmed)
    asked.when(cancellation_requested).then(Stage.AWAITING_DISPATCH, cancel_shipment)
    requested = order.given(*to_confirmed, cancellation_requested)
    requested.when(stopped).then(Stage.COMPENSATING, void, release, cancel("changed my mind"))
    requested.when(dispatched).then(Stage.DISPATCHED, mark, ship_reservation, capture)


def test_a_cancellation_requested_after_the_dispatch_asks_for_nothing() -> None:
    """Ordering was told of the dispatch and refuses it."""
    order.given(*to_dispatched).when(cancellation_requested).then_nothing_happened()


def test_goods_that_left_are_charged_whatever_was_cancelled() -> None:
    """Older versions let a customer cancel a parcel that had left; what contradicts it becomes visible."""
    order.given(*to_confirmed, cancelled).when(dispatched).then(
        Stage.DISPATCHED, mark, ship_reservation, capture
    )


def test_a_payment_voided_by_hand_stops_the_parcel() -> None:
    """Somebody voided it at the provider: nothing is sent that is not paid for."""
    by_hand = order.given(*to_confirmed)
    by_hand.when(voided).then(Stage.COMPENSATING, cancel_shipment)
    by_hand.given(voided).when(stopped).then(Stage.COMPENSATING, release, cancel("payment voided"))


@pytest.mark.parametrize("wrong", [{"amount": 1}, {"currency": "USD"}])
def test_a_payment_of_another_amount_makes_the_order_stuck_and_is_let_go(wrong: dict[str, Any]) -> None:
    """It is compared with the order, whatever payments let through; nothing is confirmed."""
    other = msgspec.structs.replace(authorized, **wrong)
    text = f"the payment was authorised for {other.amount} {other.currency} instead of 2900 GBP"
    order.given(*to_reserved).when(other).then(Stage.AUTHORIZING, void).with_problem(text).without_timer(
        "payment"
    )
    stuck = order.given(*to_reserved, other)
    assert not stuck.saga.failures[0].retryable
    stuck.when(voided).then(Stage.AUTHORIZING)
    with pytest.raises(Rejected, match="cannot be retried"):
        stuck.asked(RetryFulfilment(order_id=ORDER))


def test_a_mismatch_that_payments_found_makes_the_order_stuck() -> None:
    """Payments compared the provider's books with what it had asked for."""
    stuck = order.given(*to_reserved, mismatched, voided)
    assert [failure.failure_id for failure in stuck.saga.failures] == ["payments.PaymentMismatched"]
    stuck.when(cancelled).then(Stage.COMPENSATING, release).recovering("payments.PaymentMismatched")
    assert stuck.given(cancelled, released).saga.stage is Stage.CANCELLED


def test_a_mismatch_makes_the_order_stuck_whenever_it_is_heard() -> None:
    """Before the order, after it was completed, after it was cancelled: somebody has to look."""
    early = order.given(mismatched).when(placed).step
    assert early is not None
    assert early.problem == "another amount: 1 GBP instead of 2900 GBP"
    for history in (to_completed, (*to_reserved, declined, released, cancelled)):
        assert order.given(*history, mismatched).saga.failures


def test_a_capture_of_another_amount_makes_the_order_stuck() -> None:
    """The goods are gone; an operator has to settle it."""
    other = msgspec.structs.replace(captured, amount=1)
    order.given(*to_dispatched).when(other).with_problem(
        "the payment was captured for 1 GBP instead of 2900 GBP"
    )
    assert order.given(*to_dispatched, other).saga.failures


@pytest.mark.parametrize("last", [stopped, voided, released])
def test_a_cancelled_order_ends_when_all_of_it_is_undone(last: Fact) -> None:
    """A compensation counts when its fact is heard, not when it was asked for; nothing is asked for twice."""
    undone = [fact for fact in (stopped, voided, released) if fact is not last]
    story = order.given(*to_confirmed, cancelled, *undone)
    assert story.saga.stage is Stage.COMPENSATING
    story.when(last).then(Stage.CANCELLED)


def test_a_cancellation_after_the_dispatch_undoes_nothing() -> None:
    """The parcel has left; what ordering refuses now is seen as a failure, and the order is not completed."""
    late = order.given(*to_dispatched, cancelled)
    assert late.saga.stage is Stage.DISPATCHED
    late.given(captured).when(delivered).then(Stage.DISPATCHED)


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
