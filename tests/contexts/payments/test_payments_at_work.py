"""Payments on a real store with the real sandbox provider: what is recorded is what was charged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from contexts.messages import Event
from contexts.payments.commands import (
    AuthorizePayment,
    CapturePayment,
    CheckPayment,
    RefundPayment,
    VoidPayment,
)
from contexts.payments.events import (
    CaptureRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentMismatched,
    PaymentRefunded,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
    VoidRequested,
)
from contexts.payments.service import context
from infra.messages.commands import Accepted, RefusalKind
from infra.settings import Settings
from infra.sockets import free_port
from tests.contexts.payments.conftest import Books, Sandbox, WebhookListener, eventually
from tests.support.at_work import AtWork, at_work
from tests.support.deadlines import HOLDS_SECONDS

BODY = {"amount": 950, "currency": "GBP", "payment_method": "tok_approve"}


def authorize(order_id: str, token: str = "tok_approve") -> AuthorizePayment:
    return AuthorizePayment(order_id=order_id, amount=950, currency="GBP", payment_method=token)


def requested(order_id: str, token: str = "tok_approve") -> PaymentRequested:
    return PaymentRequested(
        order_id=order_id,
        amount=950,
        currency="GBP",
        payment_method=token,
        idempotency_key=f"{order_id}:authorize",
    )


def authorized(order_id: str) -> PaymentAuthorized:
    return PaymentAuthorized(order_id=order_id, amount=950, currency="GBP", reference=f"pay_{order_id}")


def held(order_id: str, token: str = "tok_approve") -> list[Event]:
    return [requested(order_id, token), authorized(order_id)]


def paid(order_id: str) -> list[Event]:
    capturing = CaptureRequested(
        order_id=order_id, amount=950, currency="GBP", idempotency_key=f"{order_id}:capture"
    )
    return [*held(order_id), capturing, PaymentCaptured(order_id=order_id, amount=950, currency="GBP")]


def let_go(order_id: str, number: str = "") -> list[Event]:
    voiding = VoidRequested(order_id=order_id, idempotency_key=f"{order_id}:void{number}")
    return [voiding, PaymentVoided(order_id=order_id)]


@pytest.fixture
async def payments(shared_sandbox: Sandbox, sqlite_store: str) -> AsyncIterator[AtWork]:
    """The payments context, asking the shared sandbox."""
    settings = Settings(provider_url=shared_sandbox.url, provider_timeout=HOLDS_SECONDS)
    async with at_work(context(settings), sqlite_store) as running:
        yield running


@pytest.fixture
async def hasty_payments(shared_sandbox: Sandbox, sqlite_store: str) -> AsyncIterator[AtWork]:
    """The same, but it does not wait long for an answer."""
    settings = Settings(provider_url=shared_sandbox.url, provider_timeout=0.5)
    async with at_work(context(settings), sqlite_store) as running:
        yield running


async def test_a_payment_is_authorized_captured_and_refunded(payments: AtWork, books: Books) -> None:
    """Before each answer the stream says what was asked."""
    await payments.accept(authorize("whole"))
    await payments.accept(CapturePayment(order_id="whole"))
    await payments.accept(RefundPayment(order_id="whole", return_id="r1", amount=400))
    assert await payments.events("payment-whole") == [
        *paid("whole"),
        RefundRequested(
            order_id="whole",
            return_id="r1",
            amount=400,
            currency="GBP",
            idempotency_key="whole:refund:r1",
        ),
        PaymentRefunded(order_id="whole", return_id="r1", amount=400, currency="GBP"),
    ]
    assert await books.entries("whole") == [("authorized", 950), ("captured", 950), ("refunded", 400)]


async def test_what_is_asked_is_in_the_store_before_the_provider_knows_of_it(sqlite_store: str) -> None:
    """Nothing listens where the provider should be."""
    settings = Settings(provider_url=f"http://127.0.0.1:{free_port()}", provider_timeout=0.5)
    async with at_work(context(settings), sqlite_store) as alone:
        await alone.refuse(authorize("first"), RefusalKind.UNAVAILABLE)
        assert await alone.events("payment-first") == [requested("first")]
    async with at_work(context(settings), sqlite_store) as again:
        await again.refuse(authorize("first"), RefusalKind.UNAVAILABLE)
        assert "of another amount" in await again.refuse(
            msgspec.structs.replace(authorize("first"), amount=1)
        )
        assert await again.events("payment-first") == [requested("first")]


async def test_captures_sent_many_times_over_charge_once(payments: AtWork, books: Books) -> None:
    await payments.accept(authorize("often"))
    answers = await asyncio.gather(*(payments.send(CapturePayment(order_id="often")) for _ in range(20)))
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert await payments.events("payment-often") == paid("often")
    assert await books.entries("often") == [("authorized", 950), ("captured", 950)]


async def test_a_charge_whose_record_was_lost_is_recorded_when_asked_again(
    payments: AtWork, books: Books, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Killed between the provider's answer and the commit: the next try finds the same charge."""
    await payments.accept(authorize("lost"))
    await payments.accept(CapturePayment(order_id="lost"))
    settings = Settings(provider_url=shared_sandbox.url)
    other_store = f"sqlite:{tmp_path_factory.mktemp('lost') / 'payments.db'}"
    async with at_work(context(settings), other_store) as forgetful:
        await forgetful.accept(authorize("lost"))
        await forgetful.accept(CapturePayment(order_id="lost"))
        assert await forgetful.events("payment-lost") == await payments.events("payment-lost")
    assert await books.entries("lost") == [("authorized", 950), ("captured", 950)]


async def test_a_declined_payment_is_recorded_as_such(payments: AtWork) -> None:
    await payments.accept(authorize("poor", "tok_decline"))
    assert await payments.events("payment-poor") == [
        requested("poor", "tok_decline"),
        PaymentDeclined(order_id="poor", reason="declined by the test token"),
    ]


async def test_a_late_approval_is_recorded_when_a_webhook_has_it_checked(
    payments: AtWork, webhooks: WebhookListener
) -> None:
    await payments.accept(authorize("late", "tok_late_100"))
    await webhooks.arrived(1)
    await payments.accept(CheckPayment(order_id="late"))
    assert await payments.events("payment-late") == held("late", "tok_late_100")


async def test_a_check_of_a_payment_that_was_never_asked_for_is_refused_and_asks_nobody(
    payments: AtWork, books: Books
) -> None:
    """Even if the provider has one under the order's name: the order's own request will find it."""
    await books.post("/payments", "foreign", {**BODY, "order_id": "foreign"})
    await payments.refuse(CheckPayment(order_id="foreign"), RefusalKind.UNKNOWN)
    assert await payments.events("payment-foreign") == []
    assert await books.entries("foreign") == [("authorized", 950)]


async def test_a_webhook_sent_again_changes_nothing_also_to_another_process(
    shared_sandbox: Sandbox, sqlite_store: str, books: Books, webhooks: WebhookListener
) -> None:
    """Its id is its command's, which is kept with what it caused: the answer is the first one again."""
    settings = Settings(provider_url=shared_sandbox.url, provider_timeout=HOLDS_SECONDS)
    check = CheckPayment(order_id="replayed")
    async with at_work(context(settings), sqlite_store) as payments:
        await payments.accept(authorize("replayed", "tok_late_100"))
        await webhooks.arrived(1)
        first = await payments.send(check, "webhook:msg_1")
        await payments.accept(VoidPayment(order_id="replayed"))
        happened = await payments.events("payment-replayed")
    async with at_work(context(settings), sqlite_store) as restarted:
        again = await restarted.send(check, "webhook:msg_1")
        assert isinstance(first, Accepted)
        assert isinstance(again, Accepted)
        assert (again.version, again.position) == (first.version, 2)
        assert await restarted.events("payment-replayed") == happened
    assert await books.entries("replayed") == [("authorized", 950), ("voided", 950)]


async def test_a_payment_given_up_while_pending_is_voided_once_it_is_decided(
    payments: AtWork, books: Books, webhooks: WebhookListener
) -> None:
    """Until then the sender is told to try again; the money is never kept."""
    await payments.accept(authorize("given-up", "tok_late_2000"))
    void = VoidPayment(order_id="given-up")
    assert "not yet decided" in await payments.refuse(void, RefusalKind.UNAVAILABLE)
    await webhooks.arrived(1)
    await payments.accept(void)
    voiding, voided = let_go("given-up")
    assert await payments.events("payment-given-up") == [
        requested("given-up", "tok_late_2000"),
        voiding,
        authorized("given-up"),
        voided,
    ]
    assert await books.entries("given-up") == [("authorized", 950), ("voided", 950)]


async def test_a_late_approval_of_what_is_to_be_voided_is_voided_when_a_webhook_tells_of_it(
    payments: AtWork, books: Books, webhooks: WebhookListener
) -> None:
    """Even if the sender of the void has given up."""
    await payments.accept(authorize("undoing", "tok_late_2000"))
    await payments.refuse(VoidPayment(order_id="undoing"), RefusalKind.UNAVAILABLE)
    await webhooks.arrived(1)
    await payments.accept(CheckPayment(order_id="undoing"))
    assert (await payments.events("payment-undoing"))[-1] == PaymentVoided(order_id="undoing")
    assert await books.entries("undoing") == [("authorized", 950), ("voided", 950)]


@pytest.mark.parametrize("token", ["tok_timeout_1500", "tok_slow_1500", "tok_early_1500"])
async def test_a_request_that_was_not_answered_in_time_is_not_taken_for_not_done(
    hasty_payments: AtWork, books: Books, token: str, webhooks: WebhookListener
) -> None:
    """The customer cancels meanwhile; whenever the provider approves, nothing stays held."""
    order_id = token.replace("_", "-")
    reason = await hasty_payments.refuse(authorize(order_id, token), RefusalKind.UNAVAILABLE)
    assert "in time" in reason

    async def voided() -> bool:
        answer = await hasty_payments.send(VoidPayment(order_id=order_id))
        assert isinstance(answer, Accepted) or answer.kind is RefusalKind.UNAVAILABLE, answer
        return isinstance(answer, Accepted)

    await eventually(voided, "the void")
    await webhooks.arrived(1)
    voiding, let = let_go(order_id)
    assert await hasty_payments.events(f"payment-{order_id}") == [
        requested(order_id, token),
        voiding,
        authorized(order_id),
        let,
    ]
    assert await books.entries(order_id) == [("authorized", 950), ("voided", 950)]


async def test_an_approval_after_the_payment_was_voided_is_voided_too_and_recorded(
    payments: AtWork, books: Books
) -> None:
    """The void found nothing, for what it was asked by was not known here."""
    await payments.accept(VoidPayment(order_id="overtaken"))
    await books.post("/payments", "overtaken:authorize", {**BODY, "order_id": "overtaken"})
    await payments.accept(CheckPayment(order_id="overtaken"))
    assert await payments.events("payment-overtaken") == [
        *let_go("overtaken"),
        *let_go("overtaken", ":2"),
    ]
    assert await books.entries("overtaken") == [("authorized", 950), ("voided", 950)]


@pytest.mark.parametrize(
    ("token", "amount", "currency"), [("tok_otheramount", 1, "GBP"), ("tok_othercurrency", 950, "EUR")]
)
async def test_an_authorization_of_something_else_is_told_and_let_go(
    payments: AtWork, books: Books, token: str, amount: int, currency: str
) -> None:
    order_id = token.replace("_", "-")
    await payments.accept(authorize(order_id, token))
    asked, mismatched, *rest = await payments.events(f"payment-{order_id}")
    assert asked == requested(order_id, token)
    assert isinstance(mismatched, PaymentMismatched)
    assert (mismatched.amount, mismatched.currency) == (amount, currency)
    assert rest == let_go(order_id)
    assert await books.entries(order_id) == [("authorized", amount), ("voided", amount)]


async def test_what_was_done_by_hand_at_the_provider_is_recorded_when_it_is_checked(
    payments: AtWork, books: Books
) -> None:
    for order_id in ("hand-void", "hand-refund"):
        await payments.accept(authorize(order_id))
    await books.dashboard("hand-void", "void")
    await payments.accept(CheckPayment(order_id="hand-void"))
    assert await payments.events("payment-hand-void") == [
        *held("hand-void"),
        PaymentVoided(order_id="hand-void"),
    ]
    await payments.accept(CapturePayment(order_id="hand-refund"))
    await books.dashboard("hand-refund", "refund", refund_id="d1", amount=50)
    for _ in range(2):
        await payments.accept(CheckPayment(order_id="hand-refund"))
    assert await payments.events("payment-hand-refund") == [
        *paid("hand-refund"),
        PaymentRefunded(order_id="hand-refund", return_id="d1", amount=50, currency="GBP"),
    ]


async def test_a_capture_of_what_was_voided_by_hand_is_refused_and_the_void_recorded(
    payments: AtWork, books: Books
) -> None:
    await payments.accept(authorize("gone"))
    await books.dashboard("gone", "void")
    assert "voided" in await payments.refuse(CapturePayment(order_id="gone"))
    assert (await payments.events("payment-gone"))[-1] == PaymentVoided(order_id="gone")


async def test_two_processes_on_one_store_leave_nothing_held(
    shared_sandbox: Sandbox, postgres_store: str, books: Books
) -> None:
    """The second one finds what the first one asked and asks the same, whoever comes first."""
    settings = Settings(provider_url=shared_sandbox.url, provider_timeout=HOLDS_SECONDS)
    async with (
        at_work(context(settings), postgres_store) as one,
        at_work(context(settings), postgres_store) as other,
    ):
        for n in range(5):
            commands = (authorize(f"both-{n}"), VoidPayment(order_id=f"both-{n}"))
            await asyncio.gather(*(it.send(command) for it in (one, other) for command in commands))
            await one.accept(VoidPayment(order_id=f"both-{n}"))
            held_still = await books.entries(f"both-{n}")
            assert held_still in ([], [("authorized", 950), ("voided", 950)])


async def test_a_refused_command_does_not_reach_the_provider(payments: AtWork, books: Books) -> None:
    await payments.accept(authorize("ruled"))
    await payments.accept(CapturePayment(order_id="ruled"))
    assert "captured" in await payments.refuse(VoidPayment(order_id="ruled"))
    assert "only 950" in await payments.refuse(RefundPayment(order_id="ruled", return_id="r1", amount=951))
    assert await books.entries("ruled") == [("authorized", 950), ("captured", 950)]
