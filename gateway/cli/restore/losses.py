"""What is lost for good: events, orders that clients were told of, payments the provider has for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from contexts.payments.http_provider import HttpProvider
from contexts.payments.provider_payment import ProviderPayment
from infra.messages.event_headers import Delivered
from infra.messages.events import key_of

ABOUT_ORDERS = {
    "payments": "payment",
    "shipping": "shipment",
    "fulfilment": "fulfilment",
    "inventory": "reservation",
}
"""Contexts with a stream for each order, and what that stream's name begins with."""


class LostEvent(msgspec.Struct, frozen=True, tag="event"):
    """An event that was published and is in no store any more; `data` is its JSON."""

    context: str
    position: int
    event_id: str
    name: str
    time: str
    actor: str
    data: msgspec.Raw


class LostOrder(msgspec.Struct, tag="order"):
    """An order that ordering does not know any more; `known_to` still do, `document` is what clients saw."""

    order_id: str
    known_to: list[str]
    document: dict[str, Any] | None = None


class LostPayment(msgspec.Struct, frozen=True, tag="payment"):
    """A payment in the provider's books of which payments knows nothing any more; amounts in minor units."""

    order_id: str
    status: str
    held: int
    captured: int
    refunded: int
    currency: str


class Losses(msgspec.Struct):
    """Everything that is lost, as far as can be told."""

    events: list[LostEvent] = []
    orders: list[LostOrder] = []
    payments: list[LostPayment] = []
    provider: str = ""
    """Why the provider's books could not be read, if so."""

    @property
    def any(self) -> bool:
        """Whether there is something to list."""
        return bool(self.events or self.orders or self.payments)

    def lines(self) -> Iterable[bytes]:
        """A JSON line each."""
        return map(msgspec.json.encode, (*self.orders, *self.payments, *self.events))


def lost_event(event: Delivered) -> LostEvent:
    """An event for the list."""
    return LostEvent(
        event.context,
        event.position,
        event.event_id,
        event.name,
        event.metadata.time.isoformat(),
        event.metadata.actor,
        msgspec.Raw(event.data),
    )


def lost_orders(
    streams: Mapping[str, set[str]], published: Iterable[Delivered], documents: Mapping[str, dict[str, Any]]
) -> list[LostOrder]:
    """Orders that something tells of and ordering has no stream of; `streams` are each context's."""
    known: dict[str, list[str]] = {}
    for event in published:
        if event.name == "ordering.OrderPlaced":
            known.setdefault(key_of(event.stream), []).append("the stream EV_ordering")
    for order_id in documents:
        known.setdefault(order_id, []).append("the read model orders")
    for context, kind in ABOUT_ORDERS.items():
        for stream in streams[context]:
            if stream.startswith(f"{kind}-"):
                known.setdefault(key_of(stream), []).append(context)
    return [
        LostOrder(order_id, known_to, documents.get(order_id))
        for order_id, known_to in sorted(known.items())
        if f"order-{order_id}" not in streams["ordering"]
    ]


async def lost_payments(provider: HttpProvider, payments: set[str]) -> list[LostPayment]:
    """Payments that the provider has and payments has no stream of; raises Unavailable."""
    found: list[LostPayment] = []
    after: str | None = None
    while True:
        page = await provider.changed_since(0.0, after)
        found += [_lost(item) for item in page.payments if f"payment-{item.order_id}" not in payments]
        if page.next is None:
            return found
        after = page.next


def _lost(payment: ProviderPayment) -> LostPayment:
    return LostPayment(
        payment.order_id,
        payment.status.value,
        payment.held,
        payment.captured,
        payment.refunded,
        payment.currency,
    )
