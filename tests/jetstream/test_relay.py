"""The relay makes the stream the exact log of the store, whatever happens to either."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from nats.aio.client import Client

from infra.event_store import EventStore
from infra.jetstream import JetStreamRefused, ask, ensure_stream, message_at, stream_info, stream_name
from infra.relay import Relay, RelayStopped
from tests.conftest import Server
from tests.deadlines import HOLDS_SECONDS
from tests.jetstream.ordering_log import (
    CONTEXT,
    METADATA,
    OrderingLog,
    damage,
    eventually,
    published,
    published_up_to,
    running,
    wipe,
)


async def test_a_few_events_are_published_in_order_with_their_chain(
    connection: Client, ordering: OrderingLog
) -> None:
    async with running(Relay(connection, ordering.store).run()):
        for _ in range(5):
            position = await ordering.add(3)
        await published_up_to(connection, position)
    assert await published(connection) == await ordering.chain()


async def test_a_backlog_is_published_in_order_with_its_chain(
    connection: Client, ordering: OrderingLog
) -> None:
    relay = Relay(connection, ordering.store)
    position = await ordering.add(1_203)
    async with running(relay.run()):
        await published_up_to(connection, position)
    assert await published(connection) == await ordering.chain()
    assert (relay.published, relay.refills, relay.conflicts, relay.holes) == (1_203, 0, 0, 0)


async def test_a_message_carries_the_stored_bytes_and_who_when_and_why(
    connection: Client, ordering: OrderingLog
) -> None:
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, await ordering.add(1, order="42"))
    message = await message_at(connection, "EV_ordering", 1)
    assert message is not None
    assert message.subject == "ev.ordering.8.OrderPlaced"
    assert message.data == (await ordering.all())[0].data
    assert {name: value for name, value in message.headers.items() if not name.startswith("Nats-")} == {
        "Es-Pos": "1",
        "Es-Prev": "0",
        "Es-Stream-Version": "1",
        "Es-Id": "order-42@1",
        "Es-Time": "2025-03-04T05:06:07.891011+00:00",
        "Correlation-Id": METADATA.correlation_id,
        "Causation-Id": METADATA.causation_id,
        "Actor": METADATA.actor,
        "traceparent": METADATA.traceparent,
    }


async def test_events_of_megabytes_in_total_go_through(connection: Client, ordering: OrderingLog) -> None:
    position = await ordering.add(12, pad=900_000)
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, position)
    assert await published(connection) == await ordering.chain()


async def test_a_restarted_relay_goes_on_where_the_stream_ends(
    connection: Client, ordering: OrderingLog
) -> None:
    for events in (20, 3, 1):
        position = await ordering.add(events)
        async with running(Relay(connection, ordering.store).run()):
            await published_up_to(connection, position)
    assert await published(connection) == await ordering.chain()


async def test_two_relays_that_compete_leave_the_exact_log(connection: Client, ordering: OrderingLog) -> None:
    relays = [Relay(connection, ordering.store) for _ in range(2)]
    async with running(*(relay.run() for relay in relays)):
        for events in [1, 2, 9, 30, 1, 1, 40, 3] * 8:
            position = await ordering.add(events)
        await published_up_to(connection, position)

        async def all_counted() -> bool:
            return sum(relay.published for relay in relays) == position

        await eventually(all_counted)
    assert await published(connection) == await ordering.chain()
    assert sum(relay.conflicts for relay in relays) > 0


async def test_the_relay_goes_on_after_the_server_was_killed(
    nats: Server, connection: Client, ordering: OrderingLog
) -> None:
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, await ordering.add(30))
        nats.process.kill()
        await ordering.add(30)
        nats.process.start()
        await published_up_to(connection, await ordering.add(2))
    assert await published(connection) == await ordering.chain()


async def test_a_wiped_jetstream_is_refilled(
    nats: Server, nats_folder: Path, connection: Client, ordering: OrderingLog
) -> None:
    relay = Relay(connection, ordering.store)
    async with running(relay.run()):
        position = await ordering.add(600)
        await published_up_to(connection, position)
        wipe(nats, nats_folder)
        await published_up_to(connection, position)
    assert await published(connection) == await ordering.chain()
    assert relay.refills == 1


async def test_a_deleted_stream_is_refilled_while_nothing_happens(
    connection: Client, ordering: OrderingLog
) -> None:
    relay = Relay(connection, ordering.store, audit_seconds=0.05)
    async with running(relay.run()):
        position = await ordering.add(10)
        await published_up_to(connection, position)
        await ask(connection, f"STREAM.DELETE.{stream_name(CONTEXT)}", dict)
        await published_up_to(connection, position)
    assert await published(connection) == await ordering.chain()
    assert relay.refills == 1


async def test_messages_missing_inside_the_stream_are_counted(
    connection: Client, ordering: OrderingLog
) -> None:
    # A stream that allows what ours forbids stands for a damaged one.
    loose = {"name": stream_name(CONTEXT), "subjects": [f"ev.{CONTEXT}.>"], "allow_atomic": True}
    await ask(connection, f"STREAM.CREATE.{stream_name(CONTEXT)}", dict, loose)
    relay = Relay(connection, ordering.store, audit_seconds=0.05)
    async with running(relay.run()):
        await published_up_to(connection, await ordering.add(20))
        assert relay.holes == 0
        for sequence in (7, 8):
            await ask(connection, f"STREAM.MSG.DELETE.{stream_name(CONTEXT)}", dict, {"seq": sequence})

        async def counted() -> bool:
            return relay.holes == 2

        await eventually(counted)
        await published_up_to(connection, await ordering.add(1))
    chain = await ordering.chain()
    assert await published(connection) == chain[:6] + chain[8:]


async def test_a_lost_end_of_the_stream_is_published_again(
    nats: Server, nats_folder: Path, connection: Client, ordering: OrderingLog
) -> None:
    relay = Relay(connection, ordering.store)
    async with running(relay.run()):
        position = await ordering.add(20)
        await published_up_to(connection, position)
        # After a kill, the server drops everything from a damaged message on.
        damage(nats, nats_folder, b'{"n":7,')
        await published_up_to(connection, position)
    assert relay.refills == 1
    assert await published(connection) == await ordering.chain()


async def test_nobody_may_take_events_from_the_stream(connection: Client, ordering: OrderingLog) -> None:
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, await ordering.add(2))
    for refused in ("STREAM.MSG.DELETE.EV_ordering", "STREAM.PURGE.EV_ordering"):
        with pytest.raises(JetStreamRefused):
            await ask(connection, refused, dict, {"seq": 1})
    assert len(await published(connection)) == 2


async def test_a_store_that_ends_before_the_stream_stops_the_relay(
    connection: Client, ordering: OrderingLog, tmp_path: Path
) -> None:
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, await ordering.add(5))
    before = await published(connection)
    restored = await EventStore.open(CONTEXT, f"sqlite:{tmp_path / 'restored.db'}")
    await OrderingLog(restored).add(4)
    with pytest.raises(RelayStopped, match="up to position 5, but the store of ordering ends at 4"):
        await asyncio.wait_for(Relay(connection, restored).run(), HOLDS_SECONDS)
    await restored.close()
    assert await published(connection) == before


async def test_a_store_that_tells_another_story_stops_the_relay(
    connection: Client, ordering: OrderingLog, tmp_path: Path
) -> None:
    async with running(Relay(connection, ordering.store).run()):
        await published_up_to(connection, await ordering.add(1, order="a"))
    other = await EventStore.open(CONTEXT, f"sqlite:{tmp_path / 'other.db'}")
    await OrderingLog(other).add(3, order="b")
    with pytest.raises(RelayStopped, match="published was order-a@1, stored is order-b@1"):
        await asyncio.wait_for(Relay(connection, other).run(), HOLDS_SECONDS)
    await other.close()


async def test_an_event_that_no_message_can_carry_stops_the_relay_with_its_name(
    connection: Client, ordering: OrderingLog
) -> None:
    await ordering.add(1, order="huge", pad=1_100_000)
    with pytest.raises(RelayStopped, match="order-huge@1"):
        await asyncio.wait_for(Relay(connection, ordering.store).run(), HOLDS_SECONDS)


async def test_the_stream_is_made_once_and_found_again(connection: Client) -> None:
    made = await ensure_stream(connection, CONTEXT)
    assert (await ensure_stream(connection, CONTEXT)).created == made.created
    assert await stream_info(connection, "EV_nobody") is None
