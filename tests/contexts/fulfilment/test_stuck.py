"""Orders a command of which failed: visible, repaired by themselves or by an operator, or given up."""

from __future__ import annotations

import pytest

from contexts.fulfilment.commands import RetryFulfilment
from contexts.fulfilment.events import FactParked, FactReleased, FulfilmentRetried, Stage
from contexts.messages import Rejected, Unknown
from tests.contexts.fulfilment.messages import (
    ORDER,
    accepted_return,
    captured,
    dispatched,
    left_stock,
    marked,
    payment_due,
    refunded,
    return_received,
    return_requested,
    take_back,
    to_completed,
    to_confirmed,
    to_dispatched,
    to_reserved,
)
from tests.contexts.fulfilment.operators import abandon, failed, resume, settle
from tests.contexts.fulfilment.story import Story

order = Story()
retry = RetryFulfilment(order_id=ORDER)


def test_a_failed_command_whose_effect_is_heard_after_all_has_recovered() -> None:
    """Its last try was carried out although its answer was lost."""
    stuck = order.given(*to_dispatched, failed("ordering.MarkDispatched"))
    stuck.when(marked).then(Stage.DISPATCHED).recovering("fulfilment-42:3:1")
    assert stuck.given(marked).saga.failures == ()


def test_a_failed_command_that_nothing_needs_any_more_has_recovered() -> None:
    """A payment that could not be asked for is voided when its time is up."""
    stuck = order.given(*to_reserved, failed("payments.AuthorizePayment"))
    stuck.when(payment_due).recovering("fulfilment-42:3:1")
    assert stuck.given(payment_due).saga.failures == ()


def test_other_facts_leave_a_failed_command_failed() -> None:
    """It is still to be done."""
    stuck = order.given(*to_dispatched, failed("payments.CapturePayment"))
    assert stuck.given(left_stock, marked).saga.failures != ()
    assert stuck.given(captured).saga.failures == ()


def test_a_failed_refund_recovers_only_by_its_own_return() -> None:
    """Two returns of an order are two things."""
    stuck = order.given(
        *to_completed,
        return_requested("r1"),
        return_received("r1"),
        failed("payments.RefundPayment", return_id="r1"),
    )
    stuck.when(refunded("r2")).then(Stage.COMPLETED).recovering()
    stuck.when(refunded("r1")).then(Stage.COMPLETED).recovering("fulfilment-42:3:1")


def test_what_else_the_order_needs_goes_on_beside_a_failed_command() -> None:
    """A return that failed does not hold up the next one."""
    stuck = order.given(
        *to_completed,
        return_requested("r1"),
        return_received("r1"),
        failed("ordering.AcceptReturn", return_id="r1"),
        return_requested("r2"),
    )
    stuck.when(return_received("r2")).then(Stage.COMPLETED, *take_back("r2")).recovering()
    stuck.when(accepted_return("r1")).recovering("fulfilment-42:3:1")


def test_an_operator_has_failed_commands_sent_again_under_their_ids() -> None:
    """Whoever carried one out already answers it and does nothing."""
    stuck = order.given(
        *to_dispatched,
        failed("payments.CapturePayment", "fulfilment-42:5:1"),
        failed("ordering.MarkDispatched", "fulfilment-42:5:3"),
    )
    retried = FulfilmentRetried(order_id=ORDER, command_ids=("fulfilment-42:5:1", "fulfilment-42:5:3"))
    assert stuck.asked(retry) == (retried,)
    assert stuck.given(retried).saga.failures == ()


def test_there_is_nothing_to_retry_where_nothing_failed() -> None:
    """An operator learns that the order waits for something else."""
    with pytest.raises(Rejected, match="nothing of this order has failed"):
        order.given(*to_confirmed).asked(retry)


def test_a_dead_letter_makes_the_order_stuck_until_it_is_retried_or_skipped() -> None:
    """What it says is not known; no command can be sent again for it."""
    parked = FactParked(order_id=ORDER, fact="shipping.ShipmentDispatched", place="shipping:17", reason="bad")
    stuck = order.given(*to_confirmed, parked)
    assert [failure.failure_id for failure in stuck.saga.failures] == ["shipping:17"]
    with pytest.raises(Rejected, match=r"shipping:17.*dead letter"):
        stuck.asked(retry)
    stuck.when(dispatched).recovering()
    released = stuck.given(FactReleased(order_id=ORDER, place="shipping:17"))
    assert released.saga.failures == ()


def test_only_a_stuck_order_can_be_abandoned() -> None:
    """A healthy one has its own way to end: it is cancelled, or it comes back."""
    for history in (to_reserved, to_confirmed, to_dispatched, to_completed):
        with pytest.raises(Rejected, match="not stuck"):
            order.given(*history).asked(abandon)


def test_an_order_that_was_never_placed_is_unknown() -> None:
    """An operator mistyped it."""
    for command in (retry, abandon, resume, settle()):
        with pytest.raises(Unknown):
            order.asked(command)
