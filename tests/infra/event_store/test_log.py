"""The log of a context, as a whole and in part."""

from __future__ import annotations

from datetime import timedelta

import pytest

from infra.event_store.postgres import recorder as postgres_recorder
from infra.event_store.sqlite import recorder as sqlite_recorder
from infra.event_store.store import EventStore
from infra.messages.events import PARTITIONS, Behind, key_of, partition_of
from tests.infra.event_store.messages import NOON, append, part


@pytest.fixture
async def log(store: EventStore) -> EventStore:
    """Three orders, an hour between their events."""
    for hour, (stream, version, name) in enumerate(
        [
            ("order-1", 0, "OrderPlaced"),
            ("order-2", 0, "OrderPlaced"),
            ("order-1", 1, "OrderConfirmed"),
            ("order-3", 0, "OrderPlaced"),
            ("order-2", 1, "OrderCancelled"),
        ]
    ):
        await store.append(append(part(stream, version, name, time=NOON + timedelta(hours=hour))))
    return store


async def test_the_log_goes_on_after_a_position_up_to_a_limit(log: EventStore) -> None:
    assert [event.position for event in await log.read_log(0, 3)] == [1, 2, 3]
    assert [event.position for event in await log.read_log(3, 3)] == [4, 5]
    assert await log.read_log(5, 3) == []


async def test_the_log_of_one_stream(log: EventStore) -> None:
    assert [event.event_id for event in await log.read_log(0, 10, stream="order-1")] == [
        "order-1@1",
        "order-1@2",
    ]
    assert [event.event_id for event in await log.read_log(1, 10, stream="order-1")] == ["order-1@2"]
    assert [event.event_id for event in await log.read_log(0, 1, stream="order-1")] == ["order-1@1"]


async def test_the_log_of_some_names(log: EventStore) -> None:
    names = ["ordering.OrderCancelled", "ordering.OrderConfirmed"]
    assert [event.event_id for event in await log.read_log(0, 10, names=names)] == ["order-1@2", "order-2@2"]
    assert await log.read_log(0, 10, names=[]) == []


async def test_the_log_of_a_time_begins_with_since_and_ends_before_until(log: EventStore) -> None:
    since, until = NOON + timedelta(hours=1), NOON + timedelta(hours=3)
    assert [event.position for event in await log.read_log(0, 10, since=since, until=until)] == [2, 3]
    assert [event.position for event in await log.read_log(0, 10, since=since)] == [2, 3, 4, 5]
    assert [event.position for event in await log.read_log(0, 10, until=until)] == [1, 2, 3]


async def test_the_log_of_some_partitions(log: EventStore) -> None:
    wanted = {partition_of("1"), partition_of("3")}
    expected = [e.event_id for e in await log.read_log(0, 10) if partition_of(key_of(e.stream)) in wanted]
    assert 0 < len(expected) < 5
    assert [event.event_id for event in await log.read_log(0, 10, partitions=wanted)] == expected
    assert len(await log.read_log(0, 10, partitions=range(PARTITIONS))) == 5
    assert await log.read_log(0, 10, partitions=[]) == []


async def test_filters_hold_together(log: EventStore) -> None:
    events = await log.read_log(
        0, 10, stream="order-2", names=["ordering.OrderPlaced"], partitions=[partition_of("2")], until=NOON
    )
    assert events == []
    events = await log.read_log(0, 10, stream="order-2", names=["ordering.OrderPlaced"], since=NOON)
    assert [event.event_id for event in events] == ["order-2@1"]


async def test_head_and_partition_heads(log: EventStore) -> None:
    assert await log.head() == 5
    heads, early = [0] * PARTITIONS, [0] * PARTITIONS
    for event in await log.read_log(0, 10):
        heads[event.partition] = event.position
        if event.position <= 2:
            early[event.partition] = event.position
    assert await log.partition_heads() == heads
    assert await log.partition_heads(upto=2) == early


async def test_an_empty_log_has_no_head(store: EventStore) -> None:
    assert await store.head() == 0
    assert await store.partition_heads() == [0] * PARTITIONS
    assert await store.behind([0] * PARTITIONS) == [Behind(0, None)] * PARTITIONS


async def test_behind_counts_what_lies_after_a_position_and_since_when(log: EventStore) -> None:
    behind = await log.behind([0] * PARTITIONS)
    assert sum(partition.events for partition in behind) == 5
    assert behind[partition_of("2")].oldest == NOON + timedelta(hours=1)
    later = [0] * PARTITIONS
    later[partition_of("2")] = 2
    assert (await log.behind(later))[partition_of("2")].oldest == NOON + timedelta(hours=4)
    assert await log.behind(await log.partition_heads()) == [Behind(0, None)] * PARTITIONS


async def test_behind_stops_counting_at_its_limit(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sqlite_recorder, postgres_recorder):
        monkeypatch.setattr(module, "BEHIND", module.BEHIND.replace("LIMIT 100000", "LIMIT 3"))
    await store.append(append(part("order-1", 0, *["Counted"] * 5)))
    assert (await store.behind([0] * PARTITIONS))[partition_of("1")] == Behind(3, NOON)


async def test_behind_wants_one_position_for_each_partition(store: EventStore) -> None:
    with pytest.raises(ValueError, match="3 positions for 16 partitions"):
        await store.behind([0, 0, 0])
