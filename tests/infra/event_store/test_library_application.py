"""Whoever knows the eventsourcing library can use it on a context's store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import reduce
from typing import Any

import pytest
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Mapper, Notification, StoredEvent, Tracking
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import get_topic
from msgspec.structs import replace
from psycopg.conninfo import conninfo_to_dict

from contexts.ordering.commands import OrderingCommand
from contexts.ordering.decider import decide
from contexts.ordering.events import OrderingEvent, OrderPlaced
from contexts.ordering.order import Order, Status, evolve
from infra.event_store.postgres.recorder import PostgresEventRecorder
from infra.event_store.sqlite.recorder import SQLiteEventRecorder
from infra.event_store.store import EventStore
from infra.messages.codec import EventCodec
from infra.messages.events import StreamAppend
from tests.contexts.deciders.an_order import (
    complete,
    completed,
    confirm,
    mark_dispatched,
    place,
    placed,
    terms,
)
from tests.infra.event_store.messages import append, metadata
from tests.support.deadlines import HOLDS_SECONDS

STREAM = "order-42"

codec = EventCodec(OrderingEvent)


class WireNameMapper(Mapper[str]):
    """The topic of an event is its wire name, and its state is its JSON."""

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return codec.decode(stored_event.topic, stored_event.state)


class Ordering(Application[str]):
    """An application without a line of Orderfold's."""


class PlacedOrders(POPOTrackingRecorder):
    """The view of a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.order_ids: list[str] = []


class PlacedOrdersProjection(Projection[PlacedOrders]):
    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        if isinstance(domain_event, OrderPlaced):
            self.view.order_ids.append(domain_event.order_id)
        self.view.insert_tracking(tracking)


@pytest.fixture
def environment(store_url: str) -> dict[str, str]:
    """The library's settings for the store."""
    settings = {
        "MAPPER_TOPIC": get_topic(WireNameMapper),
        "ORIGINATOR_ID_TYPE": "text",
        "CREATE_TABLE": "no",
        "PLACEDORDERSPROJECTION_PERSISTENCE_MODULE": "eventsourcing.popo",
    }
    if store_url.startswith("sqlite:"):
        return settings | {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": store_url.removeprefix("sqlite:"),
            "APPLICATION_RECORDER_TOPIC": get_topic(SQLiteEventRecorder),
        }
    known = conninfo_to_dict(store_url)
    return settings | {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "APPLICATION_RECORDER_TOPIC": get_topic(PostgresEventRecorder),
        "POSTGRES_DBNAME": str(known["dbname"]),
        "POSTGRES_HOST": str(known["host"]),
        "POSTGRES_PORT": str(known["port"]),
        "POSTGRES_USER": str(known["user"]),
        "POSTGRES_PASSWORD": "",
    }


async def carry_out(store: EventStore, stream: str, command: OrderingCommand) -> int:
    """Decide a command and append what it causes, as the context does; returns its position."""
    recorded = await store.load(stream)
    order = project(None, [codec.decode(event.name, event.data) for event in recorded])
    events = tuple([codec.encode(event) for event in decide(order, command, terms)])
    appended = await store.append(append(StreamAppend(stream, len(recorded), events, metadata())))
    return appended.positions[-1]


def project(order: Order | None, events: Iterable[Any]) -> Any:
    """The order that its events make."""
    return reduce(evolve, events, order)


async def test_an_application_loads_an_order(store: EventStore, environment: dict[str, str]) -> None:
    for command in (place, confirm, mark_dispatched, complete):
        await carry_out(store, STREAM, command)
    app = Ordering(environment)
    try:
        order: Order = app.repository.get(STREAM, projector_func=project)
        first: Order = app.repository.get(STREAM, version=1, projector_func=project)
        last: list[Any] = list(app.events.get(STREAM, desc=True, limit=1))
    finally:
        app.close()
    assert order.status is Status.COMPLETED
    assert first.status is Status.PLACED
    assert first.placed == placed
    assert last == [completed]


async def test_a_notification_log_is_the_log(store: EventStore, environment: dict[str, str]) -> None:
    for number in range(7):
        await carry_out(store, f"order-{number}", replace(place, order_id=str(number)))
        await carry_out(store, f"order-{number}", replace(confirm, order_id=str(number)))
    app = Ordering(environment)
    try:
        walked: list[Notification] = []
        section_id: str | None = "1,10"
        while section_id:
            section = app.notification_log[section_id]
            walked += section.items
            section_id = section.next_id
    finally:
        app.close()
    assert [(it.id, it.originator_id, it.originator_version, it.topic, it.state) for it in walked] == [
        (it.position, it.stream, it.version, it.name, it.data) for it in await store.read_log(0, 100)
    ]


async def test_a_projection_follows_while_orders_come_in(
    store: EventStore, environment: dict[str, str]
) -> None:
    await carry_out(store, "order-0", replace(place, order_id="0"))
    runner = ProjectionRunner(
        application_class=Ordering,
        projection_class=PlacedOrdersProjection,
        view_class=PlacedOrders,
        env=environment,
    )
    with runner:
        for number in range(1, 20):
            await carry_out(store, f"order-{number}", replace(place, order_id=str(number)))
            position = await carry_out(store, f"order-{number}", replace(confirm, order_id=str(number)))
            if number % 5 == 0:
                await asyncio.to_thread(runner.wait, position, timeout=HOLDS_SECONDS)
        await asyncio.to_thread(runner.wait, position, timeout=HOLDS_SECONDS)
        assert runner.view.order_ids == [str(number) for number in range(20)]
        assert runner.view.max_tracking_id("Ordering") == position
