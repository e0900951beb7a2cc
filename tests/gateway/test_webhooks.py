"""The payment provider's webhooks: only genuine ones are heard, and they are only hints."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.command_wire import from_headers
from infra.commands import RefusalKind, Refused
from infra.webhook_signature import read_secret, sign
from tests.deadlines import HOLDS_SECONDS
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.problems import assert_problem

Json = dict[str, Any]
Post = Callable[..., Awaitable[httpx.Response]]

PATH = "/v1/webhooks/payments"
PAYMENT = {"order_id": "o-1", "amount": 1700, "currency": "GBP", "payment_method": "tok_late"}
NEWS = {
    "type": "payment.authorized",
    "timestamp": "2024-05-01T12:00:00Z",
    "data": {**PAYMENT, "payment_id": "pay_o-1", "status": "authorized"},
}


@pytest.fixture
def post(gateway: Gateway, webhook_secret: Path) -> Post:
    """Send a webhook as the provider does; `meddle` changes its headers."""

    async def send(
        news: Json | bytes = NEWS, *, at: datetime | None = None, meddle: dict[str, str] | None = None
    ) -> httpx.Response:
        body = news if isinstance(news, bytes) else json.dumps(news).encode()
        headers = sign(read_secret(webhook_secret), "msg_1", at or datetime.now(UTC), body)
        headers |= {"Content-Type": "application/json"} | (meddle or {})
        async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
            return await client.post(PATH, content=body, headers=headers)

    return send


async def test_a_webhook_has_the_payment_asked_for_again_under_its_own_id(
    contexts: Contexts, post: Post
) -> None:
    for _ in range(2):
        assert (await post()).status_code == 204
    first = contexts.received[0]
    assert first.subject == "cmd.payments.AuthorizePayment"
    assert json.loads(first.data) == {"type": "payments.AuthorizePayment", **PAYMENT}
    assert contexts.ids == ["webhook:msg_1", "webhook:msg_1"]
    assert from_headers(first.headers).actor == "payment-provider"


@pytest.mark.parametrize(
    ("at", "meddle"),
    [
        (timedelta(), {"webhook-id": "msg_2"}),
        (timedelta(), {"webhook-timestamp": "1"}),
        (timedelta(), {"webhook-signature": "v1,AAAA"}),
        (timedelta(), {"webhook-signature": ""}),
        (timedelta(minutes=-10), {}),
        (timedelta(minutes=10), {}),
    ],
)
async def test_a_webhook_that_is_not_genuine_is_refused(
    contexts: Contexts, post: Post, at: timedelta, meddle: dict[str, str]
) -> None:
    answer = await post(at=datetime.now(UTC) + at, meddle=meddle)
    assert_problem(answer, 401, "signature-invalid")
    assert contexts.received == []


async def test_a_genuine_webhook_of_another_form_is_refused(contexts: Contexts, post: Post) -> None:
    assert_problem(await post(b"{"), 400, "malformed")
    assert_problem(await post({**NEWS, "data": {**PAYMENT, "amount": -1}}), 400, "invalid")
    assert contexts.received == []


async def test_a_refusal_by_a_rule_ends_the_matter(contexts: Contexts, post: Post) -> None:
    contexts.answers = lambda _: Refused(RefusalKind.REJECTED, "it was voided")
    assert (await post()).status_code == 204


async def test_what_may_yet_succeed_is_to_be_sent_again(contexts: Contexts, post: Post) -> None:
    contexts.answers = lambda _: Refused(RefusalKind.UNAVAILABLE, "the provider does not answer")
    assert_problem(await post(), 503, "unavailable")


async def test_without_a_secret_no_webhook_is_heard(new_gateway: Callable[..., Gateway]) -> None:
    gateway = new_gateway(ORDERFOLD_WEBHOOK_SECRET="")
    gateway.process.start()
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
        assert_problem(await client.post(PATH, json=NEWS), 503, "unavailable")
