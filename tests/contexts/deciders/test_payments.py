"""What is asked of the payment provider, and what follows from its answers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from contexts.messages import Event
from contexts.payments.answers import answered
from contexts.payments.commands import (
    AuthorizePayment,
    CapturePayment,
    CheckPayment,
    PaymentsCommand,
    RefundPayment,
    VoidPayment,
)
from contexts.payments.decider import Payment, Undecided, decide, evolve, intents, question
from contexts.payments.events import (
    CaptureRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentMismatched,
    PaymentRefunded,
    PaymentRequested,
    PaymentsEvent,
    PaymentVoided,
    RefundRequested,
    VoidRequested,
)
from contexts.payments.provider import (
    Answer,
    Approved,
    Captured,
    Declined,
    Done,
    Impossible,
    Missing,
    Pending,
    Request,
    StatusRequest,
)
from contexts.payments.provider_payment import ProviderPayment, ProviderStatus, Refund
from tests.spec import Spec

Dialogue = tuple[tuple[Request, Answer], ...]


def ask_and_decide(
    payment: Payment, command: PaymentsCommand, *dialogue: tuple[Request, Answer]
) -> tuple[PaymentsEvent, ...]:
    """As the service does, when the provider is asked exactly this and answers so: all that is recorded."""
    answers: dict[type[Request], Answer] = {}
    recorded: list[PaymentsEvent] = []
    for request, answer in dialogue:
        assert question(payment, command, answers) == request
        facts: list[PaymentsEvent] = []
        for intent in intents(payment, command, request):
            facts.append(intent)
            payment = evolve(payment, intent)
        answers[type(request)] = answer
        for fact in answered(payment, request, answer):
            facts.append(fact)
            payment = evolve(payment, fact)
        recorded += facts
    assert question(payment, command, answers) is None
    return (*recorded, *decide(payment, command, answers))


payment = Spec(Payment(), ask_and_decide, evolve)

authorize = AuthorizePayment(order_id="42", amount=950, currency="GBP", payment_method="tok_approve")
requested = PaymentRequested(
    order_id="42",
    amount=950,
    currency="GBP",
    payment_method="tok_approve",
    idempotency_key="42:authorize",
)
approved = Approved("pay_42", 950, "GBP")
authorized = PaymentAuthorized(order_id="42", amount=950, currency="GBP", reference="pay_42")
declined = PaymentDeclined(order_id="42", reason="no money")
capture = CapturePayment(order_id="42")
capturing = CaptureRequested(order_id="42", amount=950, currency="GBP", idempotency_key="42:capture")
captured = PaymentCaptured(order_id="42", amount=950, currency="GBP")
void = VoidPayment(order_id="42")
voiding = VoidRequested(order_id="42", idempotency_key="42:void")
voiding_again = VoidRequested(order_id="42", idempotency_key="42:void:2")
voided = PaymentVoided(order_id="42")
refund = RefundPayment(order_id="42", return_id="r1", amount=400)
refunding = RefundRequested(
    order_id="42", return_id="r1", amount=400, currency="GBP", idempotency_key="42:refund:r1"
)
refunded = PaymentRefunded(order_id="42", return_id="r1", amount=400, currency="GBP")
by_hand = PaymentRefunded(order_id="42", return_id="d1", amount=100, currency="GBP")
one_penny = PaymentMismatched(
    order_id="42",
    amount=1,
    currency="GBP",
    reason="the provider authorised 1 GBP; 950 GBP was asked for",
)
check = CheckPayment(order_id="42")
look = StatusRequest("42")

ASKED: list[Event] = [requested]
HELD: list[Event] = [requested, authorized]
PAID: list[Event] = [*HELD, capturing, captured]
LET_GO: list[Event] = [*HELD, voiding, voided]


def stands(status: ProviderStatus, *refunds: Refund, amount: int = 950, captured: int = 0) -> ProviderPayment:
    """The payment in the provider's books."""
    return ProviderPayment(
        order_id="42",
        status=status,
        amount=amount,
        currency="GBP",
        captured=captured,
        refunds=refunds,
        reference="pay_42",
        reason="no money" if status is ProviderStatus.DECLINED else "",
    )


def test_an_approved_payment_is_authorized() -> None:
    payment.when(authorize, (requested, approved)).then(requested, authorized)


def test_a_declined_payment_is_declined() -> None:
    payment.when(authorize, (requested, Declined("no money"))).then(requested, declined)


def test_a_pending_payment_is_decided_later() -> None:
    payment.when(authorize, (requested, Pending())).then(requested)


def test_what_was_asked_and_not_answered_is_asked_again_under_the_same_key() -> None:
    payment.given(*ASKED).when(authorize, (requested, approved)).then(authorized)


@pytest.mark.parametrize("history", [ASKED, HELD, PAID])
def test_an_order_has_one_payment_of_one_amount(history: list[Event]) -> None:
    payment.given(*history).when(replace(authorize, amount=951)).then_rejected("42", "amount")
    payment.given(*history).when(replace(authorize, currency="EUR")).then_rejected("42", "amount")


@pytest.mark.parametrize("history", [HELD, PAID, [requested, declined], LET_GO])
def test_authorizing_again_asks_nobody_and_changes_nothing(history: list[Event]) -> None:
    payment.given(*history).when(authorize).then_nothing()


def test_an_authorization_of_another_amount_is_told_and_let_go() -> None:
    other = Approved("pay_42", 1, "GBP")
    payment.when(authorize, (requested, other), (voiding, Done())).then(requested, one_penny, voiding, voided)


def test_an_authorization_in_another_currency_is_told_and_let_go() -> None:
    euros = PaymentMismatched(
        order_id="42",
        amount=950,
        currency="EUR",
        reason="the provider authorised 950 EUR; 950 GBP was asked for",
    )
    other = Approved("pay_42", 950, "EUR")
    payment.when(authorize, (requested, other), (voiding, Done())).then(requested, euros, voiding, voided)


@pytest.mark.parametrize("command", [authorize, void], ids=lambda it: type(it).__name__)
def test_what_was_told_as_a_mismatch_is_let_go_whoever_asks_next(command: PaymentsCommand) -> None:
    payment.given(requested, one_penny, voiding).when(command, (voiding, Done())).then(voided)


def test_an_authorization_the_provider_refuses_is_looked_up_in_its_books() -> None:
    """Somebody let go of it in the provider's dashboard."""
    refused = Impossible("the payment is voided")
    payment.given(*ASKED).when(authorize, (requested, refused), (look, stands(ProviderStatus.VOIDED))).then(
        voided
    )
    payment.given(*ASKED).when(authorize, (requested, refused), (look, Missing())).then_rejected("voided")


def test_an_authorized_payment_is_captured() -> None:
    payment.given(*HELD).when(capture, (capturing, Captured(950, "GBP"))).then(capturing, captured)


def test_a_capture_without_an_answer_is_asked_again_under_the_same_key() -> None:
    payment.given(*HELD, capturing).when(capture, (capturing, Captured(950, "GBP"))).then(captured)


def test_a_payment_is_captured_once() -> None:
    payment.given(*PAID).when(capture).then_nothing()
    payment.given(*PAID, refunded).when(capture).then_nothing()


def test_a_capture_of_another_amount_is_recorded_as_it_was_and_told() -> None:
    less = replace(captured, amount=900)
    told = PaymentMismatched(
        order_id="42",
        amount=900,
        currency="GBP",
        reason="the provider captured 900 GBP; 950 GBP was asked for",
    )
    payment.given(*HELD).when(capture, (capturing, Captured(900, "GBP"))).then(capturing, less, told)


@pytest.mark.parametrize("history", [ASKED, [requested, declined], [voiding, voided], LET_GO])
def test_what_is_not_authorized_cannot_be_captured(history: list[Event]) -> None:
    payment.given(*history).when(capture).then_rejected("capture")


def test_a_capture_the_provider_refuses_is_rejected() -> None:
    refused = Impossible("it has expired")
    payment.given(*HELD).when(
        capture, (capturing, refused), (look, stands(ProviderStatus.AUTHORIZED))
    ).then_rejected("capture", "it has expired")


def test_an_authorized_payment_is_voided() -> None:
    payment.given(*HELD).when(void, (voiding, Done())).then(voiding, voided)


def test_a_void_without_an_answer_is_asked_again_under_the_same_key() -> None:
    payment.given(*HELD, voiding).when(void, (voiding, Done())).then(voided)


def test_a_payment_that_was_never_asked_for_is_voided_too_so_that_none_comes_later() -> None:
    payment.when(void, (voiding, Missing())).then(voiding, voided)


def test_a_request_without_an_answer_is_asked_again_before_it_is_voided() -> None:
    """A time-out does not say that nothing is held."""
    payment.given(*ASKED).when(void, (requested, approved), (voiding, Done())).then(
        voiding, authorized, voided
    )
    payment.given(*ASKED).when(void, (requested, Declined("no money"))).then(voiding, declined)


def test_a_payment_is_not_voided_before_the_provider_has_decided() -> None:
    with pytest.raises(Undecided, match="not yet decided on order 42"):
        payment.given(*ASKED).when(void, (requested, Pending())).then_nothing()


def test_a_late_approval_of_what_is_to_be_voided_is_let_go_whoever_hears_of_it() -> None:
    """The void waits for the provider's decision, which a webhook tells of."""
    late = (look, stands(ProviderStatus.AUTHORIZED))
    payment.given(*ASKED, voiding).when(check, late, (voiding, Done())).then(authorized, voided)


def test_a_payment_the_provider_does_not_know_is_not_taken_for_voided() -> None:
    payment.given(*HELD).when(void, (voiding, Missing()), (look, Missing())).then_rejected(
        "void", "does not know it"
    )


@pytest.mark.parametrize("history", [[voiding, voided], LET_GO, [requested, declined]])
def test_voiding_what_holds_no_money_changes_nothing(history: list[Event]) -> None:
    payment.given(*history).when(void).then_nothing()


@pytest.mark.parametrize("history", [PAID, [*PAID, refunded]])
def test_a_captured_payment_cannot_be_voided(history: list[Event]) -> None:
    payment.given(*history).when(void).then_rejected("void", "captured")


def test_a_part_of_a_captured_payment_is_refunded() -> None:
    payment.given(*PAID).when(refund, (refunding, Done())).then(refunding, refunded)


def test_a_refund_without_an_answer_is_asked_again_under_the_same_key() -> None:
    before = payment.given(*PAID, refunding)
    before.when(refund, (refunding, Done())).then(refunded)
    before.when(replace(refund, amount=1)).then_rejected("r1", "another amount")


def test_a_return_is_refunded_once() -> None:
    payment.given(*PAID, refunded).when(refund).then_nothing()
    payment.given(*PAID, refunded).when(replace(refund, amount=1)).then_rejected("r1")


def test_refunds_add_up_to_what_was_captured_and_no_more() -> None:
    rest = RefundPayment(order_id="42", return_id="r2", amount=550)
    before = payment.given(*PAID, refunded)
    before.when(replace(rest, amount=551)).then_rejected("only 550")
    asked = replace(refunding, return_id="r2", amount=550, idempotency_key="42:refund:r2")
    before.when(rest, (asked, Done())).then(asked, replace(refunded, return_id="r2", amount=550))


def test_a_refund_of_nothing_is_told_without_asking_the_provider() -> None:
    nothing = replace(refund, amount=0)
    told = replace(refunded, amount=0)
    payment.given(*PAID).when(nothing).then(told)
    payment.given(*PAID, told).when(nothing).then_nothing()


@pytest.mark.parametrize("history", [HELD, [requested, declined], LET_GO])
def test_what_was_not_captured_cannot_be_refunded(history: list[Event]) -> None:
    payment.given(*history).when(refund).then_rejected("refund")


@pytest.mark.parametrize("command", [capture, refund, check], ids=lambda it: type(it).__name__)
def test_an_order_without_a_payment_is_unknown(command: PaymentsCommand) -> None:
    payment.when(command).then_unknown("42")


@pytest.mark.parametrize(
    ("history", "provider_payment", "facts"),
    [
        (ASKED, stands(ProviderStatus.AUTHORIZED), [authorized]),
        (ASKED, stands(ProviderStatus.DECLINED), [declined]),
        (ASKED, stands(ProviderStatus.VOIDED), [voided]),
        (ASKED, stands(ProviderStatus.CAPTURED, captured=950), [authorized, captured]),
        (ASKED, stands(ProviderStatus.PENDING), []),
        (ASKED, Missing(), []),
        (HELD, stands(ProviderStatus.AUTHORIZED), []),
        (HELD, stands(ProviderStatus.VOIDED), [voided]),
        (HELD, stands(ProviderStatus.CAPTURED, captured=950), [captured]),
        (HELD, Missing(), []),
        (PAID, stands(ProviderStatus.CAPTURED, captured=950), []),
        (PAID, stands(ProviderStatus.CAPTURED, Refund("d1", 100), captured=950), [by_hand]),
        ([*PAID, by_hand], stands(ProviderStatus.CAPTURED, Refund("d1", 100), captured=950), []),
        ([*PAID, refunding], stands(ProviderStatus.CAPTURED, Refund("r1", 400), captured=950), [refunded]),
        (LET_GO, stands(ProviderStatus.VOIDED), []),
        ([requested, declined], stands(ProviderStatus.DECLINED), []),
    ],
)
def test_a_check_records_what_the_provider_says_and_is_not_known_yet(
    history: list[Event], provider_payment: ProviderPayment | Missing, facts: list[Event]
) -> None:
    payment.given(*history).when(check, (look, provider_payment)).then(*facts)


def test_a_check_that_finds_another_amount_held_has_it_let_go() -> None:
    penny = stands(ProviderStatus.AUTHORIZED, amount=1)
    for history in (ASKED, HELD):
        payment.given(*history).when(check, (look, penny), (voiding, Done())).then(one_penny, voiding, voided)


@pytest.mark.parametrize("history", [LET_GO, [requested, declined]])
def test_an_approval_after_the_payment_was_given_up_is_let_go_and_recorded(history: list[Event]) -> None:
    asked = voiding_again if voided in history else voiding
    held = stands(ProviderStatus.AUTHORIZED)
    payment.given(*history).when(check, (look, held), (asked, Done())).then(asked, voided)


@pytest.mark.parametrize(
    ("history", "provider_payment"),
    [
        (LET_GO, stands(ProviderStatus.CAPTURED, captured=950)),
        ([requested, declined], stands(ProviderStatus.CAPTURED, captured=950)),
        (PAID, stands(ProviderStatus.VOIDED)),
        (PAID, stands(ProviderStatus.CAPTURED, captured=1)),
    ],
)
def test_books_that_contradict_ours_are_told_once(
    history: list[Event], provider_payment: ProviderPayment
) -> None:
    (told,) = ask_and_decide(payment.given(*history).state, check, (look, provider_payment))
    assert isinstance(told, PaymentMismatched)
    payment.given(*history, told).when(check, (look, provider_payment)).then_nothing()


def test_a_payment_collected_by_hand_cannot_be_voided_and_is_known_as_captured() -> None:
    state = payment.given(*HELD, voiding).state
    books = stands(ProviderStatus.CAPTURED, captured=950)
    assert answered(state, look, books) == (captured,)
    payment.given(*HELD, voiding, captured).when(void).then_rejected("captured")
