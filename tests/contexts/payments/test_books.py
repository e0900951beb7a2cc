"""The provider's books, asked for over NATS by whoever cannot reach the provider."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from contexts.payments.bookkeeping import OpenBooks
from contexts.payments.books import BooksClosed, all_payments, one_payment
from contexts.payments.http_provider import HttpProvider
from contexts.payments.provider_payment import ProviderStatus
from gateway.cli.verify import compared
from infra.sockets import free_port
from read_models.monitoring.payment_audit import CheckedPayments
from tests.conftest import Server
from tests.contexts.payments.conftest import Books, Sandbox
from tests.support.deadlines import HOLDS_SECONDS


@pytest.fixture
async def connection(nats: Server) -> AsyncIterator[Client]:
    client = Client()
    await client.connect(nats.url)
    yield client
    await client.close()


async def test_the_books_are_shown_page_by_page_and_by_order(
    connection: Client, own_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contexts.payments.http_provider.PAGE", 2)
    provider, books = HttpProvider(own_sandbox.url, HOLDS_SECONDS), Books(own_sandbox.url)
    for n in range(5):
        body = {"order_id": f"o{n}", "amount": 950, "currency": "GBP", "payment_method": "tok_approve"}
        await books.post("/payments", f"k{n}", body)
    shown = OpenBooks(connection, provider)
    await shown.start()
    pages = [
        [provider_payment.order_id for provider_payment in page] async for page in all_payments(connection)
    ]
    assert pages == [["o0", "o1"], ["o2", "o3"], ["o4"]]
    one = await one_payment(connection, "o3")
    assert one is not None
    assert (one.status, one.held) == (ProviderStatus.AUTHORIZED, 950)
    assert await one_payment(connection, "nobodys") is None
    await shown.stop()
    await provider.close()
    await books.http.aclose()


async def test_where_the_provider_cannot_be_reached_the_books_are_closed_and_verify_says_so(
    connection: Client,
) -> None:
    provider = HttpProvider(f"http://127.0.0.1:{free_port()}", HOLDS_SECONDS)
    shown = OpenBooks(connection, provider)
    await shown.start()
    with pytest.raises(BooksClosed, match="payment provider failed") as closed:
        await anext(all_payments(connection))
    said = compared(CheckedPayments(problem=str(closed.value)))
    assert said.startswith("payment provider: NOT compared: the payment provider failed")
    await shown.stop()
    await provider.close()
