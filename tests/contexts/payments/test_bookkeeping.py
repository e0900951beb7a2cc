"""The provider's books beside the payments' streams: what differs is checked, counted, and compared again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from contexts.messages import Event
from contexts.payments.bookkeeping import Bookkeeping
from contexts.payments.commands import AuthorizePayment, CapturePayment, CheckPayment, VoidPayment
from contexts.payments.events import PaymentAuthorized, PaymentRequested, PaymentVoided
from contexts.payments.http_provider import HttpProvider
from contexts.payments.service import payments as payments_context
from infra.messages.codec import EventCodec
from infra.messages.events import Append, Metadata, StreamAppend
from infra.observability.metrics.registry import REGISTRY
from infra.settings import Settings
from tests.contexts.payments.conftest import Books, Sandbox
from tests.support.at_work import AtWork, at_work
from tests.support.deadlines import HOLDS_SECONDS

METADATA = Metadata(time=datetime.now(UTC), causation_id="c", correlation_id="c", actor="a broken build")


class Keeper:
    """Payments at work, and the bookkeeping beside it."""

    def __init__(self, work: AtWork, provider: HttpProvider, books: Books) -> None:
        self.work = work
        self.books = books
        self.bookkeeping = Bookkeeping(work.store, work.streams, provider, Settings(), self._check)

    async def _check(self, order_id: str) -> None:
        await self.work.send(CheckPayment(order_id=order_id))

    async def pay(self, order_id: str, token: str = "tok_approve") -> None:
        await self.work.accept(
            AuthorizePayment(order_id=order_id, amount=950, currency="GBP", payment_method=token)
        )

    async def write(self, order_id: str, *facts: Event) -> None:
        """Record facts as no command would."""
        events = tuple(EventCodec(self.work.context.events).encode(fact) for fact in facts)
        stream = StreamAppend(f"payment-{order_id}", 0, events, METADATA)
        await self.work.store.append(Append(streams=(stream,)))

    async def differing(self) -> dict[str, int]:
        """How many differ after a comparison, by kind; those that do."""
        await self.bookkeeping.compare()
        (metric,) = [it for it in REGISTRY.collect() if it.name == "orderfold_payments_differing"]
        return {it.labels["kind"]: int(it.value) for it in metric.samples if it.value}


@pytest.fixture
async def keeper(own_sandbox: Sandbox, sqlite_store: str) -> AsyncIterator[Keeper]:
    provider = HttpProvider(own_sandbox.url, timeout=HOLDS_SECONDS)
    books = Books(own_sandbox.url)
    async with at_work(payments_context(provider), sqlite_store) as work:
        yield Keeper(work, provider, books)
    await books.http.aclose()
    await provider.close()


def requested(order_id: str) -> PaymentRequested:
    return PaymentRequested(
        order_id=order_id,
        amount=950,
        currency="GBP",
        payment_method="tok_approve",
        idempotency_key=f"{order_id}:authorize",
    )


async def test_what_was_done_as_it_was_asked_differs_in_nothing(keeper: Keeper) -> None:
    for order_id in ("held", "paid", "void"):
        await keeper.pay(order_id)
    await keeper.pay("poor", "tok_decline")
    await keeper.work.accept(CapturePayment(order_id="paid"))
    await keeper.work.accept(VoidPayment(order_id="void"))
    assert await keeper.differing() == {}
    assert REGISTRY.get_sample_value("orderfold_payments_compared_timestamp_seconds")


@pytest.mark.parametrize("what", ["void", "capture"])
async def test_what_was_done_by_hand_and_no_webhook_told_of_is_recorded(keeper: Keeper, what: str) -> None:
    await keeper.pay("hand")
    await keeper.books.dashboard("hand", what)
    assert await keeper.differing() == {}
    name = {"void": "PaymentVoided", "capture": "PaymentCaptured"}[what]
    assert type((await keeper.work.events("payment-hand"))[-1]).__name__ == name


async def test_money_that_is_held_for_a_voided_payment_is_let_go(keeper: Keeper) -> None:
    """As a build did that took a time-out for «not done»."""
    await keeper.books.post("/payments", "late:authorize", body("late"))
    await keeper.write("late", requested("late"), PaymentVoided(order_id="late"))
    assert await keeper.differing() == {}
    assert await keeper.books.entries("late") == [("authorized", 950), ("voided", 950)]


async def test_what_cannot_be_mended_is_counted_until_it_agrees(keeper: Keeper) -> None:
    foreign = body("foreign")
    await keeper.books.post("/payments", "foreign", foreign)
    await keeper.write(
        "gone",
        requested("gone"),
        PaymentAuthorized(order_id="gone", amount=950, currency="GBP", reference="pay_gone"),
    )
    await keeper.books.post("/payments", "charged", body("charged"))
    await keeper.books.post("/payments/charged/capture", "charged:capture")
    await keeper.write("charged", requested("charged"), PaymentVoided(order_id="charged"))
    assert await keeper.differing() == {"unknown-here": 1, "unknown-there": 1, "captured": 1}
    assert await keeper.differing() == {"unknown-here": 1, "unknown-there": 1, "captured": 1}
    await keeper.books.post("/payments/foreign/void", "foreign:void")
    assert await keeper.differing() == {"unknown-there": 1, "captured": 1}


def body(order_id: str) -> dict[str, object]:
    return {"order_id": order_id, "amount": 950, "currency": "GBP", "payment_method": "tok_approve"}
