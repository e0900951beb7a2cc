"""What is asked of the payment provider, and what follows from its answers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from contexts.messages import Event
from contexts.payments.commands import (
    AuthorizePayment,
    CapturePayment,
    PaymentsCommand,
    RefundPayment,
    VoidPayment,
)
from contexts.payments.decider import Payment, decide, evolve, question
from contexts.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentsEvent,
    PaymentVoided,
)
from contexts.payments.provider import Answer, Approved, Declined, Done, Impossible, Pending
from tests.spec import Spec


def ask_and_decide(
    payment: Payment,
    command: PaymentsCommand,
    asked: PaymentsCommand | None = None,
    answer: Answer | None = None,
) -> tuple[PaymentsEvent, ...]:
    """As the service does: the provider is asked exactly this, answers so, and then it is decided."""
    assert question(payment, command) == asked
    return decide(payment, command, answer)


payment = Spec(Payment(), ask_and_decide, evolve)

authorize = AuthorizePayment(order_id="42", amount=950, currency="GBP", payment_method="tok_approve")
authorized = PaymentAuthorized(order_id="42", amount=950, currency="GBP", reference="pay_42")
declined = PaymentDeclined(order_id="42", reason="no money")
capture = CapturePayment(order_id="42")
captured = PaymentCaptured(order_id="42", amount=950, currency="GBP")
void = VoidPayment(order_id="42")
voided = PaymentVoided(order_id="42")
refund = RefundPayment(order_id="42", return_id="r1", amount=400)
refunded = PaymentRefunded(order_id="42", return_id="r1", amount=400, currency="GBP")


def test_an_approved_payment_is_authorized() -> None:
    payment.when(authorize, authorize, Approved("pay_42")).then(authorized)


def test_a_declined_payment_is_declined() -> None:
    payment.when(authorize, authorize, Declined("no money")).then(declined)


def test_a_pending_payment_is_decided_later() -> None:
    payment.when(authorize, authorize, Pending()).then_nothing()


def test_an_authorization_the_provider_has_let_go_of_is_rejected() -> None:
    payment.when(authorize, authorize, Impossible("the payment is voided")).then_rejected("voided")


@pytest.mark.parametrize("history", [[authorized], [authorized, captured], [declined]])
def test_authorizing_again_asks_nobody_and_changes_nothing(history: list[Event]) -> None:
    payment.given(*history).when(authorize).then_nothing()


@pytest.mark.parametrize("history", [[authorized], [authorized, captured]])
def test_an_order_has_one_payment_of_one_amount(history: list[Event]) -> None:
    payment.given(*history).when(replace(authorize, amount=951)).then_rejected("42", "amount")
    payment.given(*history).when(replace(authorize, currency="EUR")).then_rejected("42", "amount")


@pytest.mark.parametrize("history", [[voided], [authorized, voided]])
def test_an_approval_after_the_payment_was_given_up_is_voided_at_the_provider(history: list[Event]) -> None:
    payment.given(*history).when(authorize, void, Done()).then_nothing()


def test_an_authorized_payment_is_captured() -> None:
    payment.given(authorized).when(capture, capture, Done()).then(captured)


def test_a_payment_is_captured_once() -> None:
    payment.given(authorized, captured).when(capture).then_nothing()
    payment.given(authorized, captured, refunded).when(capture).then_nothing()


@pytest.mark.parametrize("history", [[declined], [voided], [authorized, voided]])
def test_what_is_not_authorized_cannot_be_captured(history: list[Event]) -> None:
    payment.given(*history).when(capture).then_rejected("capture")


def test_a_capture_the_provider_refuses_is_rejected() -> None:
    payment.given(authorized).when(capture, capture, Impossible("the payment is voided")).then_rejected(
        "capture", "the payment is voided"
    )


def test_an_authorized_payment_is_voided() -> None:
    payment.given(authorized).when(void, void, Done()).then(voided)


def test_a_payment_nobody_heard_of_is_voided_too_so_that_none_comes_later() -> None:
    payment.when(void, void, Done()).then(voided)


@pytest.mark.parametrize("history", [[voided], [authorized, voided], [declined]])
def test_voiding_what_holds_no_money_changes_nothing(history: list[Event]) -> None:
    payment.given(*history).when(void).then_nothing()


@pytest.mark.parametrize("history", [[authorized, captured], [authorized, captured, refunded]])
def test_a_captured_payment_cannot_be_voided(history: list[Event]) -> None:
    payment.given(*history).when(void).then_rejected("void", "captured")


def test_a_part_of_a_captured_payment_is_refunded() -> None:
    payment.given(authorized, captured).when(refund, refund, Done()).then(refunded)


def test_a_return_is_refunded_once() -> None:
    payment.given(authorized, captured, refunded).when(refund).then_nothing()
    payment.given(authorized, captured, refunded).when(replace(refund, amount=1)).then_rejected("r1")


def test_refunds_add_up_to_what_was_captured_and_no_more() -> None:
    rest = RefundPayment(order_id="42", return_id="r2", amount=550)
    before = payment.given(authorized, captured, refunded)
    before.when(replace(rest, amount=551)).then_rejected("only 550")
    before.when(rest, rest, Done()).then(
        PaymentRefunded(order_id="42", return_id="r2", amount=550, currency="GBP")
    )


def test_a_refund_of_nothing_is_told_without_asking_the_provider() -> None:
    nothing = replace(refund, amount=0)
    told = replace(refunded, amount=0)
    payment.given(authorized, captured).when(nothing).then(told)
    payment.given(authorized, captured, told).when(nothing).then_nothing()


@pytest.mark.parametrize("history", [[authorized], [declined], [authorized, voided]])
def test_what_was_not_captured_cannot_be_refunded(history: list[Event]) -> None:
    payment.given(*history).when(refund).then_rejected("refund")


@pytest.mark.parametrize("command", [capture, refund], ids=lambda it: type(it).__name__)
def test_an_order_without_a_payment_is_unknown(command: PaymentsCommand) -> None:
    payment.when(command).then_unknown("42")
