"""Benchmark of the event store: concurrent commands against the library's `app.save`, one at a time."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict

from contexts.messages import Event, wire_name
from gateway.ids import derived_id, new_id
from infra.event_store.store import EventStore
from infra.messages.events import Append, CommandRecord, Metadata, NewEvent, StreamAppend
from tests.bench.table import Row, show
from tests.support.postgres_server import fresh_database, postgres_server

CONCURRENT = 64
SECONDS = 1.5
"""Of each measurement; several rounds, and of them the median."""

ROUNDS = 3

LINES: list[dict[str, str | int]] = [
    {"sku": f"SKU-{n}", "name": "A mug with a handle", "quantity": 3, "unit_price": 1250} for n in range(3)
]


class Placed(Event, frozen=True, tag="bench.Placed"):
    order_id: str
    customer_id: str
    lines: list[dict[str, str | int]]


class Confirmed(Event, frozen=True, tag="bench.Confirmed"):
    order_id: str


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Placed | Confirmed).decode


class Order(Aggregate):
    """The same order, the library's way, with ids like ours."""

    @staticmethod
    def create_id(*_: object, **__: object) -> UUID:
        """A UUIDv7."""
        return UUID(new_id())

    @event("Placed")
    def __init__(self, customer_id: str, lines: list[dict[str, str | int]]) -> None:
        self.customer_id = customer_id
        self.lines = lines


def save_one_at_a_time(environment: dict[str, str]) -> float:
    """The baseline: `app.save` of new orders per second."""
    app = Application[UUID](env=environment)
    try:
        for _ in range(50):
            app.save(Order("customer-1", LINES))
        saved, started = 0, time.perf_counter()
        while time.perf_counter() - started < SECONDS:
            app.save(Order("customer-1", LINES))
            saved += 1
        return saved / (time.perf_counter() - started)
    finally:
        app.close()


async def place(store: EventStore, order_id: str) -> None:
    """Load, decide, append: a command that begins a stream."""
    stream = f"order-{order_id}"
    if [decode(recorded.data) for recorded in await store.load(stream)]:
        raise AssertionError("placed before")
    placed = Placed(order_id=order_id, customer_id="customer-1", lines=LINES)
    await store.append(append_of(stream, 0, order_id, placed))


async def confirm(store: EventStore, order_id: str) -> None:
    """Load, decide, append: a command to a stream with an event."""
    stream = f"order-{order_id}"
    events = [decode(recorded.data) for recorded in await store.load(stream)]
    if not isinstance(events[-1], Placed):
        raise TypeError("not placed, or confirmed before")
    await store.append(append_of(stream, len(events), f"{order_id}-confirm", Confirmed(order_id=order_id)))


def append_of(stream: str, expected: int, command_id: str, *events: Placed | Confirmed) -> Append:
    metadata = Metadata(
        time=datetime.now(UTC), causation_id=command_id, correlation_id=command_id, actor="bench"
    )
    recorded = tuple([NewEvent(wire_name(type(e)), encode(e)) for e in events])
    return Append(
        streams=(StreamAppend(stream, expected, recorded, metadata),),
        command=CommandRecord(command_id, b"0123456789abcdef", b'{"stream":"","version":1}'),
    )


async def per_second(command: Callable[[], Awaitable[None]], concurrent: int, seconds: float) -> float:
    """How many commands a second that many senders get through."""
    done, until = 0, time.perf_counter() + seconds

    async def sender() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await command()
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*[sender() for _ in range(concurrent)])
    return done / (time.perf_counter() - started)


class Figures(msgspec.Struct):
    """Commands per second, one figure per round."""

    saves: list[float] = msgspec.field(default_factory=list)
    placed: list[float] = msgspec.field(default_factory=list)
    placed_anywhere: list[float] = msgspec.field(default_factory=list)
    confirmed: list[float] = msgspec.field(default_factory=list)
    placed_alone: list[float] = msgspec.field(default_factory=list)


async def measure(url: str, environment: dict[str, str], figures: Figures) -> None:
    """One round: the baseline, then placing and confirming by many senders, then placing by one."""
    figures.saves.append(await asyncio.to_thread(save_one_at_a_time, environment))
    store = await EventStore.open("bench", url)
    placed: list[str] = []

    async def place_new() -> None:
        order_id = new_id()
        await place(store, order_id)
        placed.append(order_id)

    async def place_anywhere() -> None:
        await place(store, derived_id(new_id(), "order_id"))

    async def confirm_next() -> None:
        await confirm(store, placed.pop())

    try:
        await per_second(place_new, CONCURRENT, 0.2)
        figures.placed.append(await per_second(place_new, CONCURRENT, SECONDS))
        # Of what was placed there is enough for all the time this takes, and for each sender's last one.
        figures.confirmed.append(await per_second(confirm_next, CONCURRENT, SECONDS / 3))
        figures.placed_anywhere.append(await per_second(place_anywhere, CONCURRENT, SECONDS / 3))
        figures.placed_alone.append(await per_second(place_new, 1, SECONDS / 3))
    finally:
        await store.close()


def rows(database: str, figures: Figures, required: float) -> list[Row]:
    """The table's rows: ratios of medians."""
    save = statistics.median(figures.saves)

    def row(name: str, values: list[float], at_least: float | None = None) -> Row:
        figure = statistics.median(values)
        return Row(
            name=f"{database}: {name}",
            measured=f"{figure:,.0f}/s",
            against=f"{save:,.0f}/s app.save, one at a time",
            ratio=figure / save,
            required=at_least,
        )

    return [
        row(f"load + decide + append of new streams, {CONCURRENT} at once", figures.placed, required),
        row(f"load + decide + append to streams with one event, {CONCURRENT} at once", figures.confirmed),
        row(f"the same with ids from idempotency keys, {CONCURRENT} at once", figures.placed_anywhere),
        row("load + decide + append of new streams, one at a time", figures.placed_alone),
    ]


async def run() -> list[Row]:
    """Both databases."""
    table: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="orderfold-bench-") as name:
        folder, figures = Path(name), Figures()
        for number in range(ROUNDS):
            environment = {
                "PERSISTENCE_MODULE": "eventsourcing.sqlite",
                "SQLITE_DBNAME": str(folder / f"library-{number}.db"),
            }
            await measure(f"sqlite:{folder / f'ours-{number}.db'}", environment, figures)
        table += rows("SQLite", figures, required=4)
    with postgres_server() as server:
        figures = Figures()
        for _ in range(ROUNDS):
            database = conninfo_to_dict(fresh_database(server))
            environment = {
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": str(database["dbname"]),
                "POSTGRES_HOST": str(database["host"]),
                "POSTGRES_PORT": str(database["port"]),
                "POSTGRES_USER": str(database["user"]),
                "POSTGRES_PASSWORD": "unused",
            }
            await measure(fresh_database(server), environment, figures)
        table += rows("PostgreSQL", figures, required=3)
    return table


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        show(runner.run(run()))
