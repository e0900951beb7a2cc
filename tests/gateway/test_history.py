"""An order's history: every context's events about it, causes before effects."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from contexts.messages import wire_name
from infra.event_log.server import LogService
from infra.event_store.store import EventStore
from infra.messages.event_headers import Delivered
from infra.messages.events import Append, Metadata, NewEvent, StreamAppend
from infra.nats.connection import connect
from infra.settings import Settings
from read_models.queries.order_history import ORDER_STREAMS, causal_order
from tests.gateway.problems import assert_problem
from tests.read_models import examples
from tests.support.deadlines import HOLDS_SECONDS

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def event(event_id: str, cause: str, *, context: str = "ordering", at: int = 0) -> Delivered:
    stream, _, version = event_id.partition("@")
    metadata = Metadata(time=NOON + timedelta(seconds=at), causation_id=cause, correlation_id="c", actor="a")
    return Delivered(context, int(version), 0, 1, stream, int(version), "x.Y", b"{}", metadata)


LIFE = [
    event("order-42@1", "command-1"),
    event("fulfilment-42@1", "order-42@1", context="fulfilment"),
    event("reservation-42@1", "fulfilment-42:1:1", context="inventory"),
    event("fulfilment-42@2", "reservation-42@1", context="fulfilment"),
    event("payment-42@1", "fulfilment-42:2:1", context="payments"),
    event("fulfilment-42@3", "payment-42@1", context="fulfilment"),
    event("order-42@2", "fulfilment-42:3:1"),
]


def test_effects_come_after_their_causes_whatever_the_clocks_said() -> None:
    """Each event here leads to the next one; all clocks are the same, then run backwards."""
    for some in itertools.islice(itertools.permutations(LIFE), 0, 5040, 97):
        assert causal_order(some) == LIFE
    backwards = [
        msgspec.structs.replace(
            one, metadata=msgspec.structs.replace(one.metadata, time=NOON - timedelta(seconds=number))
        )
        for number, one in enumerate(LIFE)
    ]
    assert causal_order(backwards[::-1]) == backwards


def test_events_that_have_nothing_to_do_with_each_other_come_by_time() -> None:
    placed = event("order-42@1", "command-1", at=1)
    first = event("payment-42@1", "webhook:7", context="payments", at=2)
    second = event("shipment-42@1", "command-3", context="shipping", at=3)
    assert causal_order([second, first, placed]) == [placed, first, second]


def test_a_cause_that_is_not_in_the_history_holds_nothing_up() -> None:
    assert causal_order([event("order-42@2", "fulfilment-7:3:1")])


HAPPENED = [
    ("order-42", examples.placed(), "command-1"),
    ("payment-42", examples.authorized, "fulfilment-42:2:1"),
    ("order-42", examples.confirmed(), "command-2"),
    ("shipment-42", examples.parcel_created, "fulfilment-42:3:2"),
    ("order-43", examples.placed("43"), "command-3"),
]


@pytest.fixture
async def logs(nats_url: str, tmp_path: Path) -> AsyncIterator[list[LogService]]:
    """Every context's log, served; two orders happened."""
    connection = await connect(Settings(nats_url=nats_url), "test")
    stores: dict[str, EventStore] = {}
    services: list[LogService] = []
    versions: dict[str, int] = {}
    for context, _ in ORDER_STREAMS:
        stores[context] = await EventStore.open(context, f"sqlite:{tmp_path / context}.db")
        services.append(LogService(connection, stores[context]))
        await services[-1].start()
    for number, (stream, fact, cause) in enumerate(HAPPENED):
        name = wire_name(type(fact))
        at = NOON + timedelta(seconds=number)
        metadata = Metadata(time=at, causation_id=cause, correlation_id="basket-7", actor="shop-1")
        new = (NewEvent(name, msgspec.json.encode(fact)),)
        version = versions.get(stream, 0)
        append = Append(streams=(StreamAppend(stream, version, new, metadata),))
        await stores[name.partition(".")[0]].append(append)
        versions[stream] = version + 1
    yield services
    for service in services:
        await service.stop()
    for store in stores.values():
        await store.close()
    await connection.close()


async def test_an_order_shows_every_event_of_every_context_with_who_and_when(
    http: httpx.AsyncClient, logs: list[LogService]
) -> None:
    answer = await http.get("/v1/orders/42/history")
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert answer.json()["next"] is None
    assert [item["event_id"] for item in items] == [
        "order-42@1",
        "payment-42@1",
        "order-42@2",
        "shipment-42@1",
    ]
    assert items[1] == {
        "context": "payments",
        "event": "payments.PaymentAuthorized",
        "event_id": "payment-42@1",
        "time": "2025-03-01T12:00:01Z",
        "actor": "shop-1",
        "causation_id": "fulfilment-42:2:1",
        "correlation_id": "basket-7",
        "version": 1,
        "data": msgspec.to_builtins(examples.authorized),
    }


async def test_an_order_nobody_placed_has_no_history(http: httpx.AsyncClient, logs: list[LogService]) -> None:
    assert_problem(await http.get("/v1/orders/44/history"), 404, "not-found")


async def test_a_history_is_never_shown_without_one_of_the_contexts(
    http: httpx.AsyncClient, logs: list[LogService]
) -> None:
    await logs[0].stop()
    async with asyncio.timeout(HOLDS_SECONDS):
        assert_problem(await http.get("/v1/orders/42/history"), 503, "unavailable")


async def as_of(http: httpx.AsyncClient, second: float) -> httpx.Response:
    time = (NOON + timedelta(seconds=second)).isoformat()
    return await http.get("/v1/orders/42", params={"as_of": time})


async def test_an_order_is_shown_as_it_was_at_any_time(
    http: httpx.AsyncClient, logs: list[LogService]
) -> None:
    """Placed at second 0, authorised at 1, confirmed at 2, its parcel made ready at 3."""
    seen = [(await as_of(http, second)).json() for second in (0, 1, 1.999, 2, 3)]
    assert [order["status"] for order in seen] == ["placed", "placed", "placed", "confirmed", "confirmed"]
    assert [order["payment"]["status"] for order in seen] == ["none", *["authorized"] * 4]
    assert [order["shipment"]["status"] for order in seen] == [*["none"] * 4, "created"]
    assert seen[-1]["updated_at"] == "2025-03-01T12:00:03.000000Z"
    assert (await as_of(http, 1)).headers["ETag"].startswith('"1-')


async def test_there_is_no_order_before_it_was_placed(
    http: httpx.AsyncClient, logs: list[LogService]
) -> None:
    assert_problem(await as_of(http, -0.000001), 404, "not-found")


@pytest.mark.parametrize(
    "time", ["yesterday", "2025-03-01T12:00:00", "9999-01-01T00:00:00Z", "", "2025-03-01T12:00:00 00:00"]
)
async def test_a_time_that_is_none_or_has_not_been_is_refused(http: httpx.AsyncClient, time: str) -> None:
    problem = assert_problem(await http.get("/v1/orders/42", params={"as_of": time}), 400, "invalid")
    assert "as_of" in problem["detail"]


async def test_the_documentation_tells_of_times(http: httpx.AsyncClient) -> None:
    shown = (await http.get("/openapi.json")).json()["paths"]["/v1/orders/{order_id}"]["get"]
    parameter = next(one for one in shown["parameters"] if one.get("name") == "as_of")
    assert parameter["in"] == "query"
    assert parameter["required"] is False
    assert parameter["schema"]["format"] == "date-time"
