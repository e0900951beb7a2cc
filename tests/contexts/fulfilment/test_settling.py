"""An abandoned order: what it holds is listed, an operator settles it or has it resumed."""

from __future__ import annotations

from typing import Any

import pytest

from contexts.fulfilment.commands import PaymentSettlement, StockSettlement
from contexts.fulfilment.events import (
    FulfilmentAbandoned,
    FulfilmentEvent,
    FulfilmentResumed,
    FulfilmentSettled,
    Stage,
    Timer,
)
from contexts.fulfilment.steps import Fact
from contexts.messages import Rejected
from contexts.ordering.commands import AbandonOrder, AcceptReturn, ResumeOrder
from contexts.ordering.events import OrderAbandoned, OrderResumed
from contexts.payments.commands import RefundPayment
from contexts.shipping.commands import AbandonShipment, ResumeShipment
from tests.contexts.fulfilment.messages import (
    NOON,
    ORDER,
    TIMEOUT,
    accepted_return,
    authorize,
    authorized,
    cancel,
    cancel_shipment,
    cancelled,
    capture,
    captured,
    confirm,
    create_shipment,
    delivered,
    dispatched,
    left_stock,
    mark,
    marked,
    mismatched,
    payment_due,
    placed,
    refunded,
    release,
    released,
    restocked,
    return_received,
    ship_reservation,
    stopped,
    take_back,
    to_completed,
    to_confirmed,
    to_dispatched,
    to_reserved,
    void,
    voided,
)
from tests.contexts.fulfilment.operators import abandon, failed, resume, settle
from tests.contexts.fulfilment.story import Story

VOID, CAPTURE, REFUND, OUTSIDE = PaymentSettlement
RELEASE, SHIP, OUTSIDE_STOCK = StockSettlement


def abandoned(*history: Fact, failing: str, return_id: str | None = None) -> Story:
    """An order that was given up because a command failed."""
    stuck = Story().given(*history, failed(failing, return_id=return_id))
    return stuck.given(*stuck.asked(abandon))


at_payment = abandoned(*to_reserved, failing="payments.AuthorizePayment")
at_shipment = abandoned(*to_confirmed, failing="shipping.CreateShipment")
at_capture = abandoned(*to_dispatched, left_stock, marked, failing="payments.CapturePayment")
at_refund = abandoned(*to_completed, return_received("r1"), failing="payments.RefundPayment", return_id="r1")


def outstanding(story: Story, fact: Fact) -> tuple[str, ...]:
    step = story.when(fact).step
    assert step is not None
    return step.outstanding


def settlement(story: Story, **wanted: Any) -> FulfilmentSettled:
    (event,) = story.asked(settle(**wanted))
    assert isinstance(event, FulfilmentSettled)
    return event


def test_abandoning_tells_what_is_outstanding_and_stops_order_and_shipment() -> None:
    stuck = Story().given(*to_confirmed, failed("shipping.CreateShipment"))
    (event,) = stuck.asked(abandon)
    assert event == FulfilmentAbandoned(
        order_id=ORDER,
        reason="settled by telephone",
        commands=(
            AbandonOrder(order_id=ORDER, reason="settled by telephone"),
            AbandonShipment(order_id=ORDER, reason="settled by telephone"),
        ),
        outstanding=("money held", "stock reserved"),
    )
    assert stuck.given(event).asked(abandon) == ()


def test_an_abandoned_order_goes_on_hearing_and_asks_for_nothing() -> None:
    """What it holds changes with every fact: an operator sees the truth."""
    for fact in (placed, payment_due):
        at_payment.when(fact).then_nothing_happened()
    at_payment.when(authorized).then(Stage.ABANDONED)
    assert outstanding(at_payment, authorized) == ("money held", "stock reserved")
    assert outstanding(at_shipment, dispatched) == ("money held", "stock reserved", "parcel out")
    assert outstanding(at_shipment, stopped) == ("money held", "stock reserved")
    assert outstanding(at_capture, captured) == ("money captured", "parcel out")


def test_all_that_is_outstanding_must_be_settled() -> None:
    for wanted in ({}, {"payment": VOID}, {"stock": RELEASE}):
        with pytest.raises(Rejected, match="outstanding: money held, stock reserved"):
            at_shipment.asked(settle(**wanted))


def test_what_is_not_there_cannot_be_settled() -> None:
    for wanted in (
        {"payment": REFUND, "amount": 100, "stock": RELEASE},
        {"payment": CAPTURE, "amount": 100, "stock": RELEASE},
        {"payment": REFUND, "stock": RELEASE},
    ):
        with pytest.raises(Rejected):
            at_shipment.asked(settle(**wanted))
    with pytest.raises(Rejected, match="cannot release stock"):
        at_capture.asked(settle(payment=CAPTURE, stock=RELEASE))
    with pytest.raises(Rejected, match="cannot capture"):
        at_payment.asked(settle(payment=CAPTURE, stock=SHIP))


def test_an_order_of_which_nothing_is_left_is_cancelled() -> None:
    """Money let go, stock released, parcel stopped: then there is no sale any more."""
    event = settlement(at_shipment, payment=VOID, stock=RELEASE)
    assert event.commands == (void, cancel_shipment, release, cancel("agreed with the customer"))
    settling = at_shipment.given(event)
    assert settling.saga.stage is Stage.ABANDONED
    settling.given(stopped, released, voided).when(cancelled).then(Stage.SETTLED)


def test_money_of_an_order_whose_goods_are_gone_may_be_captured_after_all() -> None:
    event = settlement(at_capture, payment=CAPTURE)
    assert event.commands == (capture,)
    at_capture.given(event).when(captured).then(Stage.SETTLED)


def test_what_was_settled_outside_needs_no_command() -> None:
    """The customer paid by bank transfer."""
    event = settlement(at_capture, payment=OUTSIDE)
    assert (event.commands, event.stage) == ((), Stage.SETTLED)
    settled = at_capture.given(event)
    for fact in (captured, delivered, return_received("r1")):
        settled.when(fact).then_nothing_happened()


def test_a_return_refunded_by_hand_is_closed() -> None:
    """The provider refuses a second refund; the return is accepted all the same."""
    event = settlement(at_refund, payment=OUTSIDE)
    assert event.commands == (*take_back("r1")[:1], AcceptReturn(order_id=ORDER, return_id="r1"))
    at_refund.given(event, restocked("r1")).when(accepted_return("r1")).then(Stage.SETTLED)


def test_another_amount_may_be_refunded() -> None:
    """It has an identity of its own: it is no return."""
    event = settlement(at_refund, payment=REFUND, amount=500)
    refund = RefundPayment(order_id=ORDER, return_id="settlement-1", amount=500)
    assert event.commands == (refund, *take_back("r1")[:1], AcceptReturn(order_id=ORDER, return_id="r1"))
    settling = at_refund.given(event, restocked("r1"), refunded("settlement-1", 500))
    assert settling.saga.stage is Stage.ABANDONED
    settling.when(accepted_return("r1")).then(Stage.SETTLED)


def test_a_settlement_that_failed_may_be_decided_otherwise() -> None:
    failing = at_capture.given(
        settlement(at_capture, payment=CAPTURE), failed("payments.CapturePayment", "fulfilment-42:x")
    )
    assert failing.saga.stage is Stage.ABANDONED
    assert failing.saga.failures
    event = settlement(failing, payment=OUTSIDE)
    assert failing.given(event).saga.stage is Stage.SETTLED
    assert failing.given(event).saga.failures == ()


def test_a_resumed_order_asks_again_for_all_that_is_not_done() -> None:
    (event,) = at_payment.asked(resume)
    assert event == FulfilmentResumed(
        order_id=ORDER,
        reason="the provider is back",
        stage=Stage.AUTHORIZING,
        commands=(ResumeOrder(order_id=ORDER), ResumeShipment(order_id=ORDER), authorize),
        timers_set=(Timer(name="payment", due=NOON + TIMEOUT),),
    )
    at_payment.given(event).when(authorized).then(Stage.CONFIRMING, confirm, create_shipment)


def test_a_resumed_order_knows_what_happened_meanwhile() -> None:
    meanwhile = at_shipment.given(dispatched)
    (event,) = meanwhile.asked(resume)
    assert isinstance(event, FulfilmentResumed)
    assert event.commands[2:] == (mark, ship_reservation, capture)
    assert event.stage is Stage.DISPATCHED


def test_a_completed_order_is_completed_when_it_is_resumed() -> None:
    (event,) = at_refund.asked(resume)
    assert isinstance(event, FulfilmentResumed)
    assert event.stage is Stage.COMPLETED


def test_only_an_abandoned_order_is_settled_or_resumed() -> None:
    done: FulfilmentEvent = settlement(at_capture, payment=OUTSIDE)
    for story in (Story().given(*to_confirmed), at_capture.given(done)):
        for command in (settle(payment=VOID), resume):
            with pytest.raises(Rejected, match="only an abandoned one"):
                story.asked(command)


def test_the_same_settlement_again_changes_nothing() -> None:
    """An operator's client sends it twice; another decision is another command."""
    settling = at_capture.given(settlement(at_capture, payment=CAPTURE))
    assert settling.asked(settle(payment=CAPTURE)) == ()
    assert settling.given(captured).asked(settle(payment=CAPTURE)) == ()
    with pytest.raises(Rejected):
        settling.given(captured).asked(settle(payment=OUTSIDE))


def test_resuming_twice_changes_nothing() -> None:
    resumed = at_payment.given(*at_payment.asked(resume))
    assert resumed.asked(resume) == ()


def test_a_payment_that_does_not_fit_is_not_taken_up_again() -> None:
    """Nothing would get the order on: it has to be settled."""
    stuck = Story().given(*to_reserved, mismatched, voided)
    given_up = stuck.given(*stuck.asked(abandon))
    with pytest.raises(Rejected, match="settle it"):
        given_up.asked(resume)
    assert settlement(given_up, stock=RELEASE).commands == (release, cancel("agreed with the customer"))


def test_a_settlement_that_has_begun_is_not_taken_back() -> None:
    settling = at_capture.given(settlement(at_capture, payment=CAPTURE))
    with pytest.raises(Rejected, match="settle it again"):
        settling.asked(resume)


def test_a_saga_that_lost_its_store_learns_from_ordering_that_the_order_is_abandoned() -> None:
    """Otherwise it would go on with what an operator has stopped."""
    rebuilt = Story().given(*to_dispatched, OrderAbandoned(order_id=ORDER, reason="by telephone"))
    assert rebuilt.saga.stage is Stage.ABANDONED
    rebuilt.when(captured).then(Stage.ABANDONED)
    resumed = rebuilt.when(OrderResumed(order_id=ORDER)).step
    assert resumed is not None
    assert resumed.stage is Stage.DISPATCHED


def test_a_saga_that_was_abandoned_here_does_not_hear_it_again_from_ordering() -> None:
    (event,) = at_payment.asked(resume)
    resumed = at_payment.given(event)
    resumed.when(OrderAbandoned(order_id=ORDER, reason="by telephone")).then_nothing_happened()
