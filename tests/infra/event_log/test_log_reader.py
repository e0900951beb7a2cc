"""A reader gets every event once, in order, whatever JetStream loses and wherever it starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from infra.event_log.relay import Relay
from infra.event_log.server import LogService
from infra.event_log.subscription import LogDiffers, LogReader
from infra.event_store.store import EventStore
from infra.messages.events import Checkpoint
from infra.nats.jetstream import ask, stream_info, stream_name
from tests.conftest import Server
from tests.infra.event_log.ordering_log import (
    CONTEXT,
    OrderingLog,
    Projection,
    damage,
    eventually,
    published_up_to,
    running,
    wipe,
)
from tests.support.deadlines import HOLDS_SECONDS

STREAM = stream_name(CONTEXT)


@asynccontextmanager
async def serving(nats: Client, *logs: OrderingLog) -> AsyncIterator[None]:
    """Answer questions about these logs."""
    services = [LogService(nats, log.store) for log in logs]
    for service in services:
        await service.start()
    yield
    for service in services:
        await service.stop()


def quick_reader(nats: Client, *contexts: str) -> LogReader:
    """A reader that is quick to ask the store."""
    return LogReader(nats, "reader", contexts or (CONTEXT,), quiet_seconds=0.1)


async def test_a_reader_gets_what_was_and_what_comes(connection: Client, ordering: OrderingLog) -> None:
    projection = Projection()
    reader = LogReader(connection, "reader", [CONTEXT])
    await ordering.add(700)
    async with running(Relay(connection, ordering.store).run(), projection.follow(reader)):
        await projection.has(ordering)
        for events in (1, 3, 50):
            await ordering.add(events)
            await projection.has(ordering)
    assert projection.bodies == [event.data for event in await ordering.all()]


async def test_a_reader_that_starts_before_the_stream_exists_waits_for_it(
    connection: Client, ordering: OrderingLog
) -> None:
    projection = Projection()
    reader = LogReader(connection, "reader", [CONTEXT])
    async with running(projection.follow(reader)):
        await ordering.add(3)
        async with running(Relay(connection, ordering.store).run()):
            await projection.has(ordering)


async def test_one_reader_reads_several_contexts(
    connection: Client, ordering: OrderingLog, tmp_path: Path
) -> None:
    store = await EventStore.open("payments", f"sqlite:{tmp_path / 'payments.db'}")
    payments = OrderingLog(store)
    projection = Projection()
    reader = LogReader(connection, "reader", [CONTEXT, "payments"])
    async with running(
        Relay(connection, ordering.store).run(), Relay(connection, store).run(), projection.follow(reader)
    ):
        for events in (40, 2, 1):
            await ordering.add(events)
            await payments.add(events)
        await projection.has(ordering, payments)
    await store.close()


async def test_a_batch_has_no_more_events_than_wanted_and_nothing_is_none(
    connection: Client, ordering: OrderingLog
) -> None:
    reader = LogReader(connection, "reader", [CONTEXT])
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, await ordering.add(25))
        await reader.start({})
        batches = [await reader.next(limit=10, timeout=HOLDS_SECONDS) for _ in range(3)]
        assert await reader.next(timeout=0.05) is None
        await reader.stop()
    assert [len(batch.events) for batch in batches if batch] == [10, 10, 5]


async def test_a_slow_reader_does_not_make_the_backlog_pile_up_in_memory(
    connection: Client, ordering: OrderingLog
) -> None:
    for _ in range(5):
        position = await ordering.add(1_000)
    reader = LogReader(connection, "reader", [CONTEXT])
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, position)
        await reader.start({})
        feed = reader._subscriptions[CONTEXT]

        async def full() -> bool:
            return feed._buffered >= 1_750

        await eventually(full)
        projection = Projection()
        most = 0
        while len(projection.events) < 5_000:
            batch = await reader.next(limit=100, timeout=HOLDS_SECONDS)
            assert batch is not None
            most = max(most, feed._buffered)
            projection.apply(batch)
        await reader.stop()
    assert most <= 2_000


async def test_from_every_checkpoint_a_reader_gets_exactly_the_rest(
    connection: Client, ordering: OrderingLog
) -> None:
    first = Projection()
    reader = LogReader(connection, "reader", [CONTEXT])
    async with running(Relay(connection, ordering.store).run()):
        async with running(first.follow(reader)):
            for events in (1, 40, 2, 7, 1, 90):
                await ordering.add(events)
                await first.has(ordering)
        for checkpoints in first.history:
            rest = Projection()
            rest.checkpoints = dict(checkpoints)
            rest.events = [
                (CONTEXT, event.position, event.event_id)
                for event in await ordering.all()
                if event.position <= checkpoints.get((CONTEXT, event.partition), Checkpoint()).position
            ]
            async with running(rest.follow(reader)):
                await ordering.add(1)
                await rest.has(ordering)


async def test_two_readers_of_half_the_partitions_each_see_everything_once_between_them(
    connection: Client, ordering: OrderingLog
) -> None:
    low, high = Projection(), Projection()
    readers = [
        LogReader(connection, "reader", [CONTEXT], range(8)),
        LogReader(connection, "reader", [CONTEXT], range(8, 16)),
    ]
    async with running(
        Relay(connection, ordering.store).run(), low.follow(readers[0]), high.follow(readers[1])
    ):
        for events in (300, 1, 20):
            await ordering.add(events)
        total = len(await ordering.all())

        async def complete() -> bool:
            return len(low.events) + len(high.events) >= total

        await eventually(complete)
    assert {partition for _, partition in low.checkpoints} <= set(range(8))
    assert {partition for _, partition in high.checkpoints} <= set(range(8, 16))
    both = Projection()
    both.events = low.events + high.events
    await both.has(ordering)


async def test_partitions_can_change_hands(connection: Client, ordering: OrderingLog) -> None:
    """One reader of all partitions goes on where two of half of them stopped, at different places."""
    low, high = Projection(), Projection()
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, await ordering.add(100))
        async with running(low.follow(LogReader(connection, "reader", [CONTEXT], range(8)))):
            await low.has(ordering, partitions=range(8))
        await published_up_to(connection, await ordering.add(100))
        async with running(high.follow(LogReader(connection, "reader", [CONTEXT], range(8, 16)))):
            await high.has(ordering, partitions=range(8, 16))
        whole = Projection()
        whole.checkpoints = low.checkpoints | high.checkpoints
        whole.events = low.events + high.events
        async with running(whole.follow(LogReader(connection, "reader", [CONTEXT]))):
            await whole.has(ordering)


@pytest.mark.parametrize(
    "wrong",
    [
        {"created": "2001-01-01T00:00:00Z"},
        {"sequence": 1},
        {"sequence": 60},
        {"sequence": 9_999},
        {"sequence_position": 3},
        {"sequence_position": 9_999, "created": "2001-01-01T00:00:00Z"},
        {"sequence": 0, "sequence_position": 0, "created": ""},
    ],
    ids=str,
)
async def test_a_checkpoints_wrong_hint_does_no_harm(
    connection: Client, ordering: OrderingLog, wrong: dict[str, object]
) -> None:
    projection = Projection()
    reader = quick_reader(connection)
    async with running(Relay(connection, ordering.store).run()), serving(connection, ordering):
        async with running(projection.follow(reader)):
            await ordering.add(50)
            await projection.has(ordering)
        projection.checkpoints = {
            place: msgspec.structs.replace(checkpoint, **wrong)
            for place, checkpoint in projection.checkpoints.items()
        }
        await ordering.add(50)
        async with running(projection.follow(reader)):
            await projection.has(ordering)


async def test_relay_and_reader_survive_a_killed_server(
    nats: Server, connection: Client, ordering: OrderingLog
) -> None:
    projection = Projection()
    async with (
        running(Relay(connection, ordering.store).run(), projection.follow(quick_reader(connection))),
        serving(connection, ordering),
    ):
        for _ in range(3):
            await ordering.add(120)
            nats.process.kill()
            await ordering.add(20)
            nats.process.start()
            await projection.has(ordering)


async def test_relay_and_reader_survive_a_wiped_jetstream(
    nats: Server, nats_folder: Path, connection: Client, ordering: OrderingLog
) -> None:
    projection = Projection()
    async with (
        running(Relay(connection, ordering.store).run(), projection.follow(quick_reader(connection))),
        serving(connection, ordering),
    ):
        await ordering.add(300)
        await projection.has(ordering)
        wipe(nats, nats_folder)
        await ordering.add(5)
        await projection.has(ordering)
        wipe(nats, nats_folder)
        await projection.has(ordering)
        await ordering.add(5)
        await projection.has(ordering)


async def test_a_reader_that_was_away_while_jetstream_was_wiped_goes_on(
    nats: Server, nats_folder: Path, connection: Client, ordering: OrderingLog
) -> None:
    projection = Projection()
    async with running(Relay(connection, ordering.store).run()):
        async with running(projection.follow(LogReader(connection, "reader", [CONTEXT]))):
            await ordering.add(100)
            await projection.has(ordering)
        wipe(nats, nats_folder)
        await published_up_to(connection, await ordering.add(30))
        async with running(projection.follow(LogReader(connection, "reader", [CONTEXT]))):
            await projection.has(ordering)


async def test_a_deleted_durable_is_made_again(connection: Client, ordering: OrderingLog) -> None:
    projection = Projection()
    reader = LogReader(connection, "reader", [CONTEXT])
    async with running(Relay(connection, ordering.store).run(), projection.follow(reader)):
        await ordering.add(10)
        await projection.has(ordering)
        await ask(connection, f"CONSUMER.DELETE.{STREAM}.reader", dict)
        await ordering.add(10)
        await projection.has(ordering)


async def test_a_message_lost_inside_the_stream_is_read_from_the_store(
    nats: Server, nats_folder: Path, connection: Client, ordering: OrderingLog
) -> None:
    async with running(Relay(connection, ordering.store).run()):
        # One partition, so that the next event shows the gap; a stopped server does not see the damage.
        await published_up_to(connection, await ordering.add(20, order="42"))
    damage(nats, nats_folder, b'{"n":7,', kill=False)
    projection = Projection()
    reader = LogReader(connection, "reader", [CONTEXT])
    async with serving(connection, ordering), running(projection.follow(reader)):
        await projection.has(ordering)
        assert (reader.gaps, reader.from_store) == (1, 1)


async def test_a_lost_last_event_is_read_from_the_store(connection: Client, ordering: OrderingLog) -> None:
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, await ordering.add(20))
    projection = Projection()
    reader = quick_reader(connection)
    async with serving(connection, ordering), running(projection.follow(reader)):
        # The relay is gone: as far as the reader can tell, JetStream lost these.
        await ordering.add(2)
        await projection.has(ordering)
        # On a slow machine the reader may have lost patience with JetStream before.
        assert reader.from_store >= 2
        # They come after all, and are known.
        async with running(Relay(connection, ordering.store).run()):
            await ordering.add(1)
            await projection.has(ordering)


async def test_without_any_stream_everything_comes_from_the_store(
    connection: Client, ordering: OrderingLog
) -> None:
    await ordering.add(1_500)
    projection = Projection()
    async with serving(connection, ordering), running(projection.follow(quick_reader(connection))):
        await projection.has(ordering)


async def test_a_checkpoint_ahead_of_the_store_is_an_error(connection: Client, ordering: OrderingLog) -> None:
    await ordering.add(3, order="42")
    reader = LogReader(connection, "reader", [CONTEXT])
    async with running(Relay(connection, ordering.store).run()), serving(connection, ordering):
        await reader.start({(CONTEXT, 8): Checkpoint(position=4)})
        with pytest.raises(LogDiffers, match="ordering up to position 4 in partition 8"):
            await reader.next(timeout=HOLDS_SECONDS)
        await reader.stop()


async def test_a_store_restored_under_a_reader_is_an_error(
    connection: Client, ordering: OrderingLog, tmp_path: Path
) -> None:
    projection = Projection()
    reader = LogReader(connection, "reader", [CONTEXT])
    async with running(Relay(connection, ordering.store).run()):
        await ordering.add(3, order="42")
        reading = asyncio.create_task(projection.follow(reader))
        await projection.has(ordering)
    restored = OrderingLog(await EventStore.open(CONTEXT, f"sqlite:{tmp_path / 'restored.db'}"))
    await restored.add(2, order="42")
    async with serving(connection, restored):
        with pytest.raises(LogDiffers, match="restored from an older backup"):
            await asyncio.wait_for(reading, HOLDS_SECONDS)
    await restored.store.close()


async def test_applied_batches_are_acknowledged_so_that_the_server_shows_the_lag(
    connection: Client, ordering: OrderingLog
) -> None:
    projection = Projection()
    async with running(
        Relay(connection, ordering.store).run(),
        projection.follow(LogReader(connection, "reader", [CONTEXT])),
    ):
        await ordering.add(200)
        await projection.has(ordering)

        async def acknowledged() -> bool:
            info = await ask(connection, f"CONSUMER.INFO.{STREAM}.reader", dict)
            return (info["ack_floor"]["stream_seq"], info["num_pending"]) == (200, 0)

        await eventually(acknowledged)


async def test_stopping_leaves_nothing_behind(connection: Client, ordering: OrderingLog) -> None:
    # The client's own tasks are there from its first request on.
    assert await stream_info(connection, STREAM) is None
    before = asyncio.all_tasks()
    reader = LogReader(connection, "reader", [CONTEXT])
    async with running(Relay(connection, ordering.store).run()), serving(connection, ordering):
        await ordering.add(1)
        await reader.start({})
        assert await reader.next(timeout=HOLDS_SECONDS) is not None
        async with asyncio.timeout(HOLDS_SECONDS):
            await reader.stop()
    assert asyncio.all_tasks() == before
