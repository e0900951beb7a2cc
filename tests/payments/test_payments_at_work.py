"""Payments on a real store with the real sandbox provider: what is recorded is what was charged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from contexts.payments.commands import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from contexts.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from contexts.payments.service import context
from infra.commands import Accepted, RefusalKind
from infra.settings import Settings
from tests.at_work import AtWork, at_work
from tests.payments.conftest import Books, Sandbox, WebhookListener


def authorize(order_id: str, token: str = "tok_approve") -> AuthorizePayment:
    return AuthorizePayment(order_id=order_id, amount=950, currency="GBP", payment_method=token)


def authorized(order_id: str) -> PaymentAuthorized:
    return PaymentAuthorized(order_id=order_id, amount=950, currency="GBP", reference=f"pay_{order_id}")


@pytest.fixture
async def payments(shared_sandbox: Sandbox, sqlite_store: str) -> AsyncIterator[AtWork]:
    """The payments context, asking the shared sandbox."""
    settings = Settings(provider_url=shared_sandbox.url, provider_timeout=0.5)
    async with at_work(context(settings), sqlite_store) as running:
        yield running


async def test_a_payment_is_authorized_captured_and_refunded(payments: AtWork, books: Books) -> None:
    await payments.accept(authorize("whole"))
    await payments.accept(CapturePayment(order_id="whole"))
    await payments.accept(RefundPayment(order_id="whole", return_id="r1", amount=400))
    assert await payments.events("payment-whole") == [
        authorized("whole"),
        PaymentCaptured(order_id="whole", amount=950, currency="GBP"),
        PaymentRefunded(order_id="whole", return_id="r1", amount=400, currency="GBP"),
    ]
    assert await books.entries("whole") == [("authorized", 950), ("captured", 950), ("refunded", 400)]


async def test_captures_sent_many_times_over_charge_once(payments: AtWork, books: Books) -> None:
    await payments.accept(authorize("often"))
    answers = await asyncio.gather(*(payments.send(CapturePayment(order_id="often")) for _ in range(20)))
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert len(await payments.events("payment-often")) == 2
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
        PaymentDeclined(order_id="poor", reason="declined by the test token")
    ]


async def test_a_late_approval_is_recorded_when_the_webhook_asks_again(
    payments: AtWork, webhooks: WebhookListener
) -> None:
    await payments.accept(authorize("late", "tok_late_100"))
    assert await payments.events("payment-late") == []
    await webhooks.arrived(1)
    await payments.accept(authorize("late", "tok_late_100"))
    assert await payments.events("payment-late") == [authorized("late")]


async def test_a_webhook_sent_again_changes_nothing_also_to_another_process(
    shared_sandbox: Sandbox, sqlite_store: str, books: Books
) -> None:
    """Its id is its command's, which is kept with what it caused: the answer is the first one again."""
    settings = Settings(provider_url=shared_sandbox.url, provider_timeout=0.5)
    async with at_work(context(settings), sqlite_store) as payments:
        first = await payments.send(authorize("replayed"), "webhook:msg_1")
        await payments.accept(VoidPayment(order_id="replayed"))
        happened = await payments.events("payment-replayed")
    async with at_work(context(settings), sqlite_store) as restarted:
        again = await restarted.send(authorize("replayed"), "webhook:msg_1")
        assert isinstance(first, Accepted)
        assert isinstance(again, Accepted)
        assert (again.version, again.position) == (first.version, 1)
        assert await restarted.events("payment-replayed") == happened
    assert await books.entries("replayed") == [("authorized", 950), ("voided", 950)]


async def test_a_payment_given_up_while_pending_is_voided_once_it_is_decided(
    payments: AtWork, books: Books, webhooks: WebhookListener
) -> None:
    """Until then the sender is told to try again; the money is never kept."""
    await payments.accept(authorize("given-up", "tok_late_200"))
    void = VoidPayment(order_id="given-up")
    assert "not yet decided" in await payments.refuse(void, RefusalKind.UNAVAILABLE)
    await webhooks.arrived(1)
    await payments.accept(void)
    assert await payments.events("payment-given-up") == [PaymentVoided(order_id="given-up")]
    assert await books.entries("given-up") == [("authorized", 950), ("voided", 950)]


async def test_an_approval_after_the_payment_was_voided_is_voided_too(payments: AtWork, books: Books) -> None:
    """The void found nothing, for the request to authorise was still on its way."""
    await payments.accept(VoidPayment(order_id="overtaken"))
    on_its_way = {"order_id": "overtaken", "amount": 950, "currency": "GBP", "payment_method": "tok_approve"}
    await books.post("/payments", "overtaken:authorize", on_its_way)
    await payments.accept(authorize("overtaken"))
    assert await payments.events("payment-overtaken") == [PaymentVoided(order_id="overtaken")]
    assert await books.entries("overtaken") == [("authorized", 950), ("voided", 950)]


async def test_a_provider_that_does_not_answer_leaves_the_payment_open(
    payments: AtWork, books: Books, webhooks: WebhookListener
) -> None:
    reason = await payments.refuse(authorize("slow", "tok_timeout_700"), RefusalKind.UNAVAILABLE)
    assert "in time" in reason
    assert await payments.events("payment-slow") == []
    await webhooks.arrived(1)
    await payments.accept(authorize("slow", "tok_timeout_700"))
    assert await payments.events("payment-slow") == [authorized("slow")]
    assert await books.entries("slow") == [("authorized", 950)]


async def test_a_refused_command_does_not_reach_the_provider(payments: AtWork, books: Books) -> None:
    await payments.accept(authorize("ruled"))
    await payments.accept(CapturePayment(order_id="ruled"))
    assert "captured" in await payments.refuse(VoidPayment(order_id="ruled"))
    assert "only 950" in await payments.refuse(RefundPayment(order_id="ruled", return_id="r1", amount=951))
    assert await books.entries("ruled") == [("authorized", 950), ("captured", 950)]
