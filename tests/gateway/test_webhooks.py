"""The payment provider's webhooks: only genuine ones are heard, and they are only hints."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.messages.command_headers import from_headers
from infra.messages.commands import RefusalKind, Refused
from infra.security.webhook_signature import read_secret, sign
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.problems import assert_problem
from tests.support.deadlines import HOLDS_SECONDS

Json = dict[str, Any]
Post = Callable[..., Awaitable[httpx.Response]]

PATH = "/v1/webhooks/payments"
PAYMENT = {"order_id": "o-1", "amount": 1, "currency": "EUR", "payment_method": "tok_late"}
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


async def test_a_webhook_has_the_payment_checked_under_its_own_id(contexts: Contexts, post: Post) -> None:
    """Nothing it says gets into the command but which payment it is about."""
    for _ in range(2):
        assert (await post()).status_code == 204
    first = contexts.received[0]
    assert first.subject == "cmd.payments.CheckPayment"
    assert json.loads(first.data) == {"type": "payments.CheckPayment", "order_id": "o-1"}
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


@pytest.mark.parametrize(
    ("news", "outcome"),
    [
        (b"", "unreadable"),
        (b"{", "unreadable"),
        (b'"payment.authorized"', "unreadable"),
        (b"[" * 5000, "unreadable"),
        (b"\xff\xfe", "unreadable"),
        ({**NEWS, "data": {}}, "unreadable"),
        ({**NEWS, "data": {"order_id": "a.b"}}, "unreadable"),
        ({**NEWS, "type": 1}, "unreadable"),
        ({**NEWS, "type": "payment"}, "unknown-type"),
        ({**NEWS, "type": "payment.risk_scored"}, "unknown-type"),
    ],
)
async def test_a_genuine_webhook_of_another_kind_is_taken_counted_and_changes_nothing(
    contexts: Contexts, gateway: Gateway, post: Post, news: Json | bytes, outcome: str
) -> None:
    """Refused, it would be sent again and again until the provider gives up on this address."""
    before = await counted(gateway, outcome)
    assert (await post(news)).status_code == 204
    assert contexts.received == []
    assert await counted(gateway, outcome) == before + 1


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-8"}]
)
async def test_a_webhook_may_be_declared_as_its_sender_likes(
    contexts: Contexts, post: Post, headers: dict[str, str]
) -> None:
    assert (await post(meddle=headers)).status_code == 204
    assert contexts.ids == ["webhook:msg_1"]


@pytest.mark.parametrize(
    ("kind", "outcome"), [(RefusalKind.UNKNOWN, "unknown-payment"), (RefusalKind.REJECTED, "refused")]
)
async def test_a_refusal_by_a_rule_ends_the_matter(
    contexts: Contexts, gateway: Gateway, post: Post, kind: RefusalKind, outcome: str
) -> None:
    """Also a webhook about an order that there is not, or that has no payment yet."""
    contexts.answers = lambda _: Refused(kind, "order o-1 has no payment")
    before = await counted(gateway, outcome)
    assert (await post()).status_code == 204
    assert await counted(gateway, outcome) == before + 1


async def counted(gateway: Gateway, outcome: str) -> float:
    """How many webhooks had this outcome."""
    async with httpx.AsyncClient(base_url=gateway.url, verify=False) as client:
        exposed = (await client.get("/metrics")).text
    start = f'orderfold_webhooks_total{{outcome="{outcome}"}} '
    return sum(float(line.removeprefix(start)) for line in exposed.splitlines() if line.startswith(start))


async def test_what_may_yet_succeed_is_to_be_sent_again(contexts: Contexts, post: Post) -> None:
    contexts.answers = lambda _: Refused(RefusalKind.UNAVAILABLE, "the provider does not answer")
    assert_problem(await post(), 503, "unavailable")


async def test_without_a_secret_no_webhook_is_heard(new_gateway: Callable[..., Gateway]) -> None:
    gateway = new_gateway(ORDERFOLD_WEBHOOK_SECRET="")
    gateway.process.start()
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
        assert_problem(await client.post(PATH, json=NEWS), 503, "unavailable")
