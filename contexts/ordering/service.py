"""Carries out the commands about orders, and keeps the price list they are placed on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from contexts.catalog.events import CatalogEvent
from contexts.customers.events import CustomersEvent
from contexts.ordering.commands import OrderingCommand, PlaceOrder
from contexts.ordering.decider import check_theirs, decide, evolve
from contexts.ordering.events import OrderingEvent
from contexts.ordering.price_list import KnownCustomer, ListedProduct, Terms, know_customer, list_product
from contexts.wire_names import EVENTS
from infra.messages.events import key_of
from infra.runtime.context import Context, EventSession, ReceivedEvent, Session
from infra.runtime.session import Stale
from infra.settings import Settings

PRICE = "price"
"""Notes by SKU: the price list."""

CUSTOMER = "customer"
"""Notes by customer: what an order needs to know."""

products = msgspec.json.Decoder(ListedProduct)
customers = msgspec.json.Decoder(KnownCustomer)


def stream_of(command: OrderingCommand) -> str:
    """The stream a command is about."""
    return f"order-{command.order_id}"


async def handle(session: Session, command: OrderingCommand) -> None:
    """Load, decide, record."""
    stream = stream_of(command)
    try:
        (order,) = await session.load(stream)
    except Stale:
        # Where an order stands, or that there is one, is nothing for those whose it is not.
        (order,) = await session.load(stream)
        check_theirs(order, command)
        raise
    # A repeated PlaceOrder is answered from the order itself.
    terms = await _terms(session, command) if isinstance(command, PlaceOrder) and order is None else None
    session.record(stream, decide(order, command, terms))


async def _terms(session: Session, command: PlaceOrder) -> Terms:
    # Asked together, the store reads them together.
    prices, known = await asyncio.gather(
        session.notes(PRICE, {line.sku for line in command.lines}),
        session.notes(CUSTOMER, {command.customer_id}),
    )
    return Terms(
        products={sku: products.decode(note) for sku, note in prices.items()},
        customer=customers.decode(known[command.customer_id]) if known else None,
        time=session.envelope.time,
    )


async def react(session: EventSession, heard: Sequence[ReceivedEvent]) -> None:
    """Bring the price list and the customers up to date with a batch of facts."""
    await _learn(session, [it for it in heard if it.context == "catalog"], PRICE, products, list_product)
    await _learn(
        session, [it for it in heard if it.context == "customers"], CUSTOMER, customers, know_customer
    )


async def _learn(
    session: EventSession,
    heard: Sequence[ReceivedEvent],
    kind: str,
    decoder: msgspec.json.Decoder[Any],
    learn: Callable[[Any, Any], Any],
) -> None:
    if not heard:
        return
    notes = await session.notes(kind, {key_of(it.stream) for it in heard})
    known = {key: decoder.decode(note) for key, note in notes.items()}
    for it in heard:
        key = key_of(it.stream)
        known[key] = learn(known.get(key), it.event)
    for key, entry in known.items():
        if entry is not None:
            session.note(kind, key, msgspec.json.encode(entry))


def context(_settings: Settings) -> Context:
    """The context; nothing in it differs between installations."""
    return Context(
        name="ordering",
        commands=OrderingCommand,
        events=OrderingEvent,
        initial=lambda _: None,
        evolve=evolve,
        primary=stream_of,
        handle=handle,
        receives={"catalog": CatalogEvent, "customers": CustomersEvent},
        react=react,
        known_events=EVENTS,
    )
