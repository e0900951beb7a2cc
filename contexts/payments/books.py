"""Asks payments for the provider's books: it alone can reach the provider."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from nats.aio.client import Client

from contexts.messages import OrderId
from contexts.payments.provider_payment import PaymentPage, ProviderPayment
from infra.nats.request_reply import ContextUnavailable, request_with_retry

REQUEST = "books"
SECONDS = 15.0


class BooksRequest(msgspec.Struct, frozen=True):
    """One order's payment, or a page of all that changed since a time (seconds since 1970)."""

    order_id: OrderId | None = None
    since: float = 0.0
    after: str | None = None


class Books(msgspec.Struct, frozen=True, tag="books"):
    """What the provider answered; `problem` says why it did not."""

    page: PaymentPage = PaymentPage(())
    problem: str = ""


class BooksClosed(Exception):
    """The provider's books cannot be read at the moment; the message says why."""


async def all_payments(nats: Client) -> AsyncIterator[tuple[ProviderPayment, ...]]:
    """Every payment in the provider's books, by pages; raises BooksClosed."""
    after: str | None = None
    while True:
        page = await _ask(nats, BooksRequest(after=after))
        yield page.payments
        if page.next is None:
            return
        after = page.next


async def one_payment(nats: Client, order_id: OrderId) -> ProviderPayment | None:
    """An order's payment; None if the provider has none. Raises BooksClosed."""
    page = await _ask(nats, BooksRequest(order_id=order_id))
    return page.payments[0] if page.payments else None


async def _ask(nats: Client, request: BooksRequest) -> PaymentPage:
    asked = msgspec.json.encode(request)
    try:
        answer = await request_with_retry(nats, "payments", REQUEST, asked, timeout=SECONDS)
    except (ContextUnavailable, ValueError) as error:
        raise BooksClosed(str(error)) from error
    books = msgspec.json.decode(answer, type=Books)
    if books.problem:
        raise BooksClosed(books.problem)
    return books.page
