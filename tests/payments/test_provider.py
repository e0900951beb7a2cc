"""The adapter of the payment provider, against the sandbox provider over real HTTP."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

from contexts.payments.http_provider import HttpProvider
from contexts.payments.provider import Approved, Declined, Done, Impossible, Pending
from infra.runtime import Unavailable
from infra.servers import free_port
from tests.payments.conftest import Books, Sandbox, WebhookListener, eventually


async def test_an_approved_payment_has_a_reference(provider: HttpProvider, books: Books) -> None:
    assert await provider.authorize("approve", 950, "GBP", "tok_approve") == Approved("pay_approve")
    assert await books.entries("approve") == [("authorized", 950)]


@pytest.mark.parametrize(
    ("token", "reason"), [("tok_decline", "declined by the test token"), ("visa", "unknown token")]
)
async def test_a_declined_payment_has_a_reason(
    provider: HttpProvider, books: Books, token: str, reason: str
) -> None:
    assert await provider.authorize(f"decline-{token}", 950, "GBP", token) == Declined(reason)
    assert await books.entries(f"decline-{token}") == [("declined", 950)]


async def test_asking_again_has_no_second_effect(provider: HttpProvider, books: Books) -> None:
    for _ in range(3):
        assert await provider.authorize("again", 950, "GBP", "tok_approve") == Approved("pay_again")
    for _ in range(3):
        assert await provider.capture("again") == Done()
    for _ in range(3):
        assert await provider.refund("again", "r1", 400) == Done()
    assert await books.entries("again") == [("authorized", 950), ("captured", 950), ("refunded", 400)]


async def test_a_provider_that_fails_twice_is_asked_three_times(provider: HttpProvider, books: Books) -> None:
    assert await provider.authorize("flaky", 950, "GBP", "tok_flaky") == Approved("pay_flaky")
    assert await books.entries("flaky") == [("authorized", 950)]


async def test_a_late_approval_is_told_by_a_signed_webhook(
    provider: HttpProvider, books: Books, webhooks: WebhookListener
) -> None:
    """The webhook holds what is needed to ask again, and asking again then finds the approval."""
    assert await provider.authorize("late", 950, "GBP", "tok_late_200") == Pending()
    assert await provider.authorize("late", 950, "GBP", "tok_late_200") == Pending()
    (webhook,) = await webhooks.arrived(1)
    assert webhook.id == "msg_late_authorized"
    assert webhook.body["type"] == "payment.authorized"
    told = webhook.body["data"]
    assert told["status"] == "authorized"
    answer = await provider.authorize(
        told["order_id"], told["amount"], told["currency"], told["payment_method"]
    )
    assert answer == Approved("pay_late")
    assert await books.entries("late") == [("authorized", 950)]


async def test_an_answer_that_does_not_come_in_time_is_unavailable_and_approved_later(
    provider: HttpProvider, books: Books, webhooks: WebhookListener
) -> None:
    """The money is set aside although nobody was told: asking again, or the webhook, brings it to light."""
    with pytest.raises(Unavailable, match="in time"):
        await provider.authorize("slow", 950, "GBP", "tok_timeout_900")
    assert await provider.authorize("slow", 950, "GBP", "tok_timeout_900") == Pending()
    (webhook,) = await webhooks.arrived(1)
    assert webhook.body["data"]["order_id"] == "slow"
    assert await provider.authorize("slow", 950, "GBP", "tok_timeout_900") == Approved("pay_slow")
    assert await books.entries("slow") == [("authorized", 950)]


async def test_an_answer_that_comes_just_in_time_counts(
    provider: HttpProvider, webhooks: WebhookListener
) -> None:
    assert await provider.authorize("slowish", 950, "GBP", "tok_timeout_100") == Approved("pay_slowish")
    await webhooks.arrived(1)


async def test_an_authorized_payment_is_voided_once(provider: HttpProvider, books: Books) -> None:
    await provider.authorize("void", 950, "GBP", "tok_approve")
    assert await provider.void("void") == Done()
    assert await provider.void("void") == Done()
    assert await books.entries("void") == [("authorized", 950), ("voided", 950)]
    assert await provider.capture("void") == Impossible("the payment is voided")


async def test_there_is_nothing_to_void_of_an_unknown_or_declined_payment(provider: HttpProvider) -> None:
    assert await provider.void("nobody") == Done()
    await provider.authorize("declined", 950, "GBP", "tok_decline")
    assert await provider.void("declined") == Done()


async def test_a_pending_payment_can_be_voided_only_once_it_is_decided(
    provider: HttpProvider, books: Books, webhooks: WebhookListener
) -> None:
    """The first refusal must not stick to the request's key: the same request succeeds later."""
    await provider.authorize("undecided", 950, "GBP", "tok_late_200")
    with pytest.raises(Unavailable, match="not yet decided"):
        await provider.void("undecided")
    await webhooks.arrived(1)
    assert await provider.void("undecided") == Done()
    assert await books.entries("undecided") == [("authorized", 950), ("voided", 950)]


async def test_a_captured_payment_cannot_be_voided(provider: HttpProvider) -> None:
    await provider.authorize("kept", 950, "GBP", "tok_approve")
    await provider.capture("kept")
    assert await provider.void("kept") == Impossible("the payment is captured")


async def test_a_voided_payment_is_not_authorized_again(provider: HttpProvider, books: Books) -> None:
    await books.post("/payments", "other-key", authorization("gone"))
    await provider.void("gone")
    answer = await provider.authorize("gone", 950, "GBP", "tok_approve")
    assert answer == Impossible("the payment is voided")


async def test_what_was_never_authorized_cannot_be_captured_or_refunded(provider: HttpProvider) -> None:
    assert await provider.capture("absent") == Impossible("there is no payment for absent")
    assert await provider.refund("absent", "r1", 1) == Impossible("there is no payment for absent")
    await provider.authorize("uncaptured", 950, "GBP", "tok_approve")
    assert await provider.refund("uncaptured", "r1", 1) == Impossible("the payment is authorized")


async def test_no_more_is_refunded_than_was_captured(provider: HttpProvider, books: Books) -> None:
    await provider.authorize("refund", 950, "GBP", "tok_approve")
    await provider.capture("refund")
    assert await provider.refund("refund", "r1", 900) == Done()
    assert await provider.refund("refund", "r2", 51) == Impossible("more than was captured")
    assert await provider.refund("refund", "r2", 50) == Impossible(
        "this idempotency key belongs to another request"
    )
    assert await provider.refund("refund", "r3", 50) == Done()
    assert await books.entries("refund") == [
        ("authorized", 950),
        ("captured", 950),
        ("refunded", 900),
        ("refunded", 50),
    ]


async def test_fifty_captures_at_once_charge_once(provider: HttpProvider, books: Books) -> None:
    """Even if each had a key of its own."""
    await provider.authorize("rush", 950, "GBP", "tok_approve")
    answers = await asyncio.gather(*(books.post("/payments/rush/capture", f"rush-{n}") for n in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    assert await books.entries("rush") == [("authorized", 950), ("captured", 950)]


async def test_a_provider_that_is_not_there_is_unavailable() -> None:
    provider = HttpProvider(f"http://127.0.0.1:{free_port()}", timeout=0.5)
    with pytest.raises(Unavailable, match="failed 3 times"):
        await provider.capture("42")
    await provider.close()


async def test_somebody_else_on_the_providers_port_is_unavailable(shared_sandbox: Sandbox) -> None:
    """Answers nobody understands are no answers."""
    provider = HttpProvider(shared_sandbox.url + "/elsewhere", timeout=0.5)
    with pytest.raises(Unavailable, match="404"):
        await provider.authorize("42", 950, "GBP", "tok_approve")
    await provider.close()


async def test_idempotency_keys_belong_to_one_request(books: Books) -> None:
    first = await books.post("/payments", "key-1", authorization("key"))
    assert first.status_code == 201
    other = await books.post("/payments", "key-1", {**authorization("key"), "amount": 951})
    assert (other.status_code, other.json()["reason"]) == (
        409,
        "this idempotency key belongs to another request",
    )
    await books.post("/payments/key/capture", "key-2")
    again = await books.post("/payments", "key-1", authorization("key"))
    assert (again.status_code, again.json()) == (201, first.json())
    assert await books.entries("key") == [("authorized", 950), ("captured", 950)]


async def test_a_second_payment_of_an_order_is_refused(books: Books) -> None:
    await books.post("/payments", "one", authorization("twice"))
    other = await books.post("/payments", "two", {**authorization("twice"), "amount": 951})
    assert other.status_code == 409
    assert await books.entries("twice") == [("authorized", 950)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0},
        {"amount": "950"},
        {"currency": "pounds"},
        {"order_id": "a b"},
        {"order_id": "a\n"},
        {"payment_method": ""},
        {"tip": 1},
    ],
)
async def test_malformed_requests_are_refused(books: Books, wrong: dict[str, object]) -> None:
    answer = await books.post("/payments", "wrong", {**authorization("wrong"), **wrong})
    assert answer.status_code == 400
    assert await books.entries("wrong") == []


async def test_a_request_without_a_key_is_refused(books: Books) -> None:
    answer = await books.http.post("/payments", json=authorization("keyless"))
    assert answer.status_code == 400
    assert await books.entries("keyless") == []


async def test_the_ledger_adds_up(own_sandbox: Sandbox) -> None:
    books = Books(own_sandbox.url)
    for order_id in ("a", "b"):
        await books.post("/payments", order_id, authorization(order_id))
    await books.post("/payments/a/capture", "c")
    await books.post("/payments/a/refunds", "r", {"refund_id": "r1", "amount": 50})
    ledger = (await books.http.get("/ledger")).json()
    assert ledger["sums"] == [
        {"kind": "authorized", "currency": "GBP", "count": 2, "amount": 1900},
        {"kind": "captured", "currency": "GBP", "count": 1, "amount": 950},
        {"kind": "refunded", "currency": "GBP", "count": 1, "amount": 50},
    ]
    amounts = {"order_id": "a", "currency": "GBP", "authorized": 950, "captured": 950, "refunded": 50}
    assert ledger["payments"][0] == {**amounts, "status": "captured"}
    sums_only = (await books.http.get("/ledger", params={"details": "false"})).json()
    assert sums_only == {"sums": ledger["sums"], "payments": [], "entries": []}
    await books.http.aclose()


async def test_a_webhook_is_sent_until_it_is_received(
    provider: HttpProvider, books: Books, webhooks: WebhookListener
) -> None:
    """And not once more after that."""
    webhooks.answer = HTTPStatus.INTERNAL_SERVER_ERROR
    await provider.authorize("stubborn", 950, "GBP", "tok_late_10")
    await webhooks.arrived(2)
    webhooks.answer = HTTPStatus.NO_CONTENT

    async def received() -> bool:
        return webhooks.received[-1].answered is HTTPStatus.NO_CONTENT

    await eventually(received, "the webhook is received")
    so_far = len(webhooks.received)
    assert {webhook.id for webhook in webhooks.received} == {"msg_stubborn_authorized"}
    # A later webhook overtakes nothing: had the first been sent again, it would stand before this one.
    await provider.authorize("next", 950, "GBP", "tok_late_1000")
    after = (await webhooks.arrived(so_far + 1))[so_far:]
    assert [webhook.id for webhook in after] == ["msg_next_authorized"]


def authorization(order_id: str) -> dict[str, object]:
    return {"order_id": order_id, "amount": 950, "currency": "GBP", "payment_method": "tok_approve"}
