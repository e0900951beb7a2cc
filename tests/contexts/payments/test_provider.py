"""The adapter of the payment provider, against the sandbox provider over real HTTP."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

import pytest
from msgspec.structs import replace

from contexts.payments.provider import Approved, Captured, Declined, Done, Impossible, Missing, Pending
from contexts.payments.provider_payment import ProviderPayment, ProviderStatus, Refund
from infra.runtime.context import Unavailable
from infra.sockets import free_port
from tests.contexts.payments.conftest import Asking, Books, Sandbox, WebhookListener, eventually
from tests.support.deadlines import HOLDS_SECONDS


async def test_an_approved_payment_has_a_reference(provider: Asking, books: Books) -> None:
    approved = Approved("pay_approve", 950, "GBP")
    assert await provider.authorize("approve", 950, "GBP", "tok_approve") == approved
    assert await books.entries("approve") == [("authorized", 950)]


@pytest.mark.parametrize(
    ("token", "reason"), [("tok_decline", "declined by the test token"), ("visa", "unknown token")]
)
async def test_a_declined_payment_has_a_reason(
    provider: Asking, books: Books, token: str, reason: str
) -> None:
    assert await provider.authorize(f"decline-{token}", 950, "GBP", token) == Declined(reason)
    assert await books.entries(f"decline-{token}") == [("declined", 950)]


async def test_asking_again_has_no_second_effect(provider: Asking, books: Books) -> None:
    approved = Approved("pay_again", 950, "GBP")
    for _ in range(3):
        assert await provider.authorize("again", 950, "GBP", "tok_approve") == approved
    for _ in range(3):
        assert await provider.capture("again") == Captured(950, "GBP")
    for _ in range(3):
        assert await provider.refund("again", "r1", 400) == Done()
    assert await books.entries("again") == [("authorized", 950), ("captured", 950), ("refunded", 400)]


async def test_a_provider_that_fails_twice_is_asked_three_times(provider: Asking, books: Books) -> None:
    assert await provider.authorize("flaky", 950, "GBP", "tok_flaky") == Approved("pay_flaky", 950, "GBP")
    assert await books.entries("flaky") == [("authorized", 950)]


async def test_a_late_approval_is_told_by_a_signed_webhook(
    provider: Asking, books: Books, webhooks: WebhookListener
) -> None:
    """The webhook holds what is needed to ask again, and asking again then finds the approval."""
    assert await provider.authorize("late", 950, "GBP", "tok_late_2000") == Pending()
    assert await provider.authorize("late", 950, "GBP", "tok_late_2000") == Pending()
    (webhook,) = await webhooks.arrived(1)
    assert webhook.id == "msg_late_authorized"
    assert webhook.body["type"] == "payment.authorized"
    told = webhook.body["data"]
    assert told["status"] == "authorized"
    answer = await provider.authorize(
        told["order_id"], told["amount"], told["currency"], told["payment_method"]
    )
    assert answer == Approved("pay_late", 950, "GBP")
    assert await books.entries("late") == [("authorized", 950)]


async def test_an_answer_that_does_not_come_in_time_is_unavailable_and_approved_later(
    hasty_provider: Asking, books: Books, webhooks: WebhookListener
) -> None:
    """The money is set aside although nobody was told: asking again, or the webhook, brings it to light."""
    with pytest.raises(Unavailable, match="in time"):
        await hasty_provider.authorize("slow", 950, "GBP", "tok_timeout_5000")
    with pytest.raises(Unavailable, match="409"):
        # The first request is still in progress there.
        await hasty_provider.authorize("slow", 950, "GBP", "tok_timeout_5000")
    (webhook,) = await webhooks.arrived(1)
    assert webhook.body["data"]["order_id"] == "slow"
    assert await hasty_provider.authorize("slow", 950, "GBP", "tok_timeout_5000") == Approved(
        "pay_slow", 950, "GBP"
    )
    assert await books.entries("slow") == [("authorized", 950)]


async def test_an_answer_that_comes_just_in_time_counts(provider: Asking, webhooks: WebhookListener) -> None:
    approved = Approved("pay_slowish", 950, "GBP")
    assert await provider.authorize("slowish", 950, "GBP", "tok_timeout_100") == approved
    await webhooks.arrived(1)


async def test_an_authorized_payment_is_voided_once(provider: Asking, books: Books) -> None:
    await provider.authorize("void", 950, "GBP", "tok_approve")
    assert await provider.void("void") == Done()
    assert await provider.void("void") == Done()
    assert await books.entries("void") == [("authorized", 950), ("voided", 950)]
    assert await provider.capture("void") == Impossible("the payment is voided")


async def test_an_unknown_payment_is_missing_and_not_voided(provider: Asking) -> None:
    """A request to authorise may be on its way."""
    assert await provider.void("nobody") == Missing()
    assert await provider.payment("nobody") == Missing()


async def test_there_is_nothing_to_void_of_a_declined_payment(provider: Asking) -> None:
    await provider.authorize("declined", 950, "GBP", "tok_decline")
    assert await provider.void("declined") == Done()


async def test_a_pending_payment_can_be_voided_only_once_it_is_decided(
    provider: Asking, books: Books, webhooks: WebhookListener
) -> None:
    """The first refusal must not stick to the request's key: the same request succeeds later."""
    await provider.authorize("undecided", 950, "GBP", "tok_late_2000")
    assert await provider.void("undecided") == Pending()
    await webhooks.arrived(1)
    assert await provider.void("undecided") == Done()
    assert await books.entries("undecided") == [("authorized", 950), ("voided", 950)]


async def test_a_captured_payment_cannot_be_voided(provider: Asking) -> None:
    await provider.authorize("kept", 950, "GBP", "tok_approve")
    await provider.capture("kept")
    assert await provider.void("kept") == Impossible("the payment is captured")


async def test_a_voided_payment_is_not_authorized_again(provider: Asking, books: Books) -> None:
    await books.post("/payments", "other-key", authorization("gone"))
    await provider.void("gone")
    answer = await provider.authorize("gone", 950, "GBP", "tok_approve")
    assert answer == Impossible("the payment is voided")


async def test_what_was_never_authorized_cannot_be_captured_or_refunded(provider: Asking) -> None:
    assert await provider.capture("absent") == Missing()
    assert await provider.refund("absent", "r1", 1) == Missing()
    await provider.authorize("uncaptured", 950, "GBP", "tok_approve")
    assert await provider.refund("uncaptured", "r1", 1) == Impossible("the payment is authorized")


async def test_no_more_is_refunded_than_was_captured(provider: Asking, books: Books) -> None:
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


async def test_fifty_captures_at_once_charge_once(provider: Asking, books: Books) -> None:
    """Even if each had a key of its own."""
    await provider.authorize("rush", 950, "GBP", "tok_approve")
    answers = await asyncio.gather(*(books.post("/payments/rush/capture", f"rush-{n}") for n in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    assert await books.entries("rush") == [("authorized", 950), ("captured", 950)]


async def test_the_books_say_how_a_payment_stands(provider: Asking) -> None:
    await provider.authorize("stands", 950, "GBP", "tok_approve")
    held = ProviderPayment(
        order_id="stands",
        status=ProviderStatus.AUTHORIZED,
        amount=950,
        currency="GBP",
        reference="pay_stands",
    )
    assert await provider.payment("stands") == held
    await provider.capture("stands")
    await provider.refund("stands", "r1", 50)
    assert await provider.payment("stands") == replace(
        held, status=ProviderStatus.CAPTURED, captured=950, refunds=(Refund("r1", 50),)
    )


async def test_the_books_list_what_changed_since_a_time_page_by_page(own_sandbox: Sandbox) -> None:
    """What changes while the pages are read comes again at the end."""
    provider, books = Asking(own_sandbox.url, timeout=HOLDS_SECONDS), Books(own_sandbox.url)
    for n in range(5):
        await provider.authorize(f"o{n}", 950, "GBP", "tok_approve")
    first = (await books.http.get("/payments", params={"limit": 3})).json()
    assert [it["order_id"] for it in first["payments"]] == ["o0", "o1", "o2"]
    await provider.capture("o1")
    rest = await provider.changed_since(0.0, first["next"])
    assert [(it.order_id, it.captured) for it in rest.payments] == [("o3", 0), ("o4", 0), ("o1", 950)]
    assert rest.next is None
    assert (await provider.changed_since(time.time() + 60)).payments == ()
    assert (await books.http.get("/payments", params={"after": "x:1"})).status_code == 400
    await books.http.aclose()
    await provider.close()


@pytest.mark.parametrize("token", ["tok_slow_5000", "tok_early_5000"])
async def test_a_request_that_is_sent_again_while_it_is_worked_on_is_in_progress(
    hasty_provider: Asking, books: Books, webhooks: WebhookListener, token: str
) -> None:
    """Its sender has given up waiting; the provider has not, and what it does is done once."""
    with pytest.raises(Unavailable, match="in time"):
        await hasty_provider.authorize(token, 950, "GBP", token)
    with pytest.raises(Unavailable, match="409"):
        await hasty_provider.authorize(token, 950, "GBP", token)
    assert await hasty_provider.payment(token) == Missing() if token == "tok_slow_5000" else True
    await webhooks.arrived(1)

    async def answered() -> bool:
        try:
            return await hasty_provider.authorize(token, 950, "GBP", token) == Approved(
                f"pay_{token}", 950, "GBP"
            )
        except Unavailable:
            return False

    await eventually(answered, "the answer")
    assert await books.entries(token) == [("authorized", 950)]


@pytest.mark.parametrize(
    ("token", "approved"),
    [("tok_otheramount", (1, "GBP")), ("tok_othercurrency", (950, "EUR"))],
)
async def test_what_is_held_may_be_something_else_than_was_asked_for(
    provider: Asking, token: str, approved: tuple[int, str]
) -> None:
    for _ in range(2):
        assert await provider.authorize(token, 950, "GBP", token) == Approved(f"pay_{token}", *approved)


async def test_webhooks_come_twice_out_of_order_and_of_types_nobody_knows(
    provider: Asking, webhooks: WebhookListener
) -> None:
    await provider.authorize("noisy", 950, "GBP", "tok_noisy")
    arrived = [(it.id, it.body) for it in await webhooks.arrived(5)]
    assert sorted(name for name, _ in arrived) == [
        "msg_noisy_authorized",
        "msg_noisy_authorized",
        "msg_noisy_captured",
        "msg_noisy_form",
        "msg_noisy_risk_scored",
    ]


async def test_what_is_done_by_hand_is_told_by_webhooks(
    provider: Asking, books: Books, webhooks: WebhookListener
) -> None:
    await provider.authorize("hand-1", 950, "GBP", "tok_approve")
    assert (await books.dashboard("hand-1", "void")).status_code == 200
    await provider.authorize("hand-2", 950, "GBP", "tok_approve")
    assert (await books.dashboard("hand-2", "capture")).status_code == 200
    assert (await books.dashboard("hand-2", "refund", refund_id="d1", amount=50)).status_code == 200
    assert (await books.dashboard("hand-2", "void")).status_code == 409
    told = {(it.body["type"], it.body["data"]["order_id"]) for it in await webhooks.arrived(3)}
    assert told == {
        ("payment.voided", "hand-1"),
        ("payment.captured", "hand-2"),
        ("payment.refunded", "hand-2"),
    }
    assert await books.entries("hand-2") == [("authorized", 950), ("captured", 950), ("refunded", 50)]


async def test_a_provider_that_is_not_there_is_unavailable() -> None:
    provider = Asking(f"http://127.0.0.1:{free_port()}", timeout=0.5)
    with pytest.raises(Unavailable, match="failed 3 times"):
        await provider.capture("42")
    await provider.close()


async def test_somebody_else_on_the_providers_port_is_unavailable(shared_sandbox: Sandbox) -> None:
    """Answers nobody understands are no answers."""
    provider = Asking(shared_sandbox.url + "/elsewhere", timeout=HOLDS_SECONDS)
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
    provider: Asking, books: Books, webhooks: WebhookListener
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
