"""The relay makes the stream the exact log of the store, whatever happens to either."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from infra.event_log.published import StoreRestored, check_published
from infra.event_log.relay import Relay, RelayStopped
from infra.event_log.server import LogService
from infra.event_log.subscription import LogReader
from infra.event_store.store import EventStore
from infra.messages.events import Append, NewEvent, StreamAppend
from infra.nats.jetstream import (
    JetStreamRefused,
    ask,
    delete_stream,
    ensure_stream,
    message_at,
    stream_info,
    stream_name,
)
from infra.observability import tracing
from infra.settings import Settings
from infra.sockets import free_port
from tests.conftest import Server
from tests.infra.event_log.ordering_log import (
    CONTEXT,
    METADATA,
    OrderingLog,
    Projection,
    damage,
    eventually,
    published,
    published_up_to,
    running,
    wipe,
)
from tests.support.deadlines import HOLDS_SECONDS


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

    async def acknowledged() -> bool:
        return relay.published == position

    async with running(relay.run()):
        await published_up_to(connection, position)
        # A message is in the stream before the relay has its acknowledgement.
        await eventually(acknowledged)
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
    with pytest.raises(StoreRestored, match="up to position 5, but the store of ordering ends at 4"):
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
    with pytest.raises(StoreRestored, match="published was order-a@1, stored is order-b@1"):
        await asyncio.wait_for(Relay(connection, other).run(), HOLDS_SECONDS)
    await other.close()


async def test_a_store_is_known_again_by_events_that_were_traced_on_their_way(
    connection: Client, ordering: OrderingLog
) -> None:
    """A message names the span of its publication; the store has the one of the command."""
    now = msgspec.structs.replace(METADATA, time=datetime.now(UTC))
    event = NewEvent("ordering.OrderPlaced", b"{}")
    # Nobody has to take the spans.
    with tracing.exporting("test", Settings(otlp_endpoint=f"http://127.0.0.1:{free_port()}")):
        await ordering.store.append(Append(streams=(StreamAppend("order-1", 0, (event,), now),)))
        async with running(Relay(connection, ordering.store).run()):
            await published_up_to(connection, 1)
    (stored,) = await ordering.all()
    message = await message_at(connection, stream_name(CONTEXT), 1)
    assert message is not None
    assert message.headers["traceparent"] != stored.metadata.traceparent
    await check_published(connection, ordering.store)


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


async def test_a_stream_made_by_hand_is_complained_of_until_it_is_made_anew(
    connection: Client, ordering: OrderingLog
) -> None:
    """The relay goes on as far as it can."""
    name = stream_name(CONTEXT)
    by_hand = {"name": name, "subjects": [f"ev.{CONTEXT}.>"], "max_msgs": 5, "storage": "memory"}
    await ask(connection, f"STREAM.CREATE.{name}", dict, by_hand)
    relay = Relay(connection, ordering.store, audit_seconds=0.05)
    async with running(relay.run()):
        await published_up_to(connection, await ordering.add(3))
        for expected in ("max_msgs is 5, not -1", 'storage is "memory"', "deny_delete is false, not true"):
            assert expected in relay.complaint
        assert f"`orderfold replay publish {CONTEXT} --anew`" in relay.complaint
        await delete_stream(connection, CONTEXT)

        async def content() -> bool:
            return relay.complaint == ""

        await eventually(content)
        await published_up_to(connection, await ordering.add(20))
    assert await published(connection) == await ordering.chain()


async def test_a_stream_changed_by_hand_is_complained_of_also_under_traffic(
    connection: Client, ordering: OrderingLog
) -> None:
    relay = Relay(connection, ordering.store, audit_seconds=0.05)
    async with running(relay.run()):
        await published_up_to(connection, await ordering.add(20))
        assert relay.complaint == ""
        info = await stream_info(connection, stream_name(CONTEXT))
        assert info is not None
        changed = {**info.config, "max_bytes": 1_000_000, "discard": "old"}
        await ask(connection, f"STREAM.UPDATE.{stream_name(CONTEXT)}", dict, changed)

        async def complaining() -> bool:
            await ordering.add(1)
            return "max_bytes is 1000000" in relay.complaint and 'discard is "old"' in relay.complaint

        await eventually(complaining)


async def test_a_stream_that_does_not_take_the_events_is_complained_of(
    connection: Client, ordering: OrderingLog
) -> None:
    """As is one that has their subjects under another name."""
    await ask(connection, "STREAM.CREATE.MINE", dict, {"name": "MINE", "subjects": ["ev.>"]})
    relay = Relay(connection, ordering.store, audit_seconds=0.05)
    async with running(relay.run()):
        position = await ordering.add(20)

        async def complaining() -> bool:
            return "subjects overlap" in relay.complaint

        await eventually(complaining)
        await ask(connection, "STREAM.DELETE.MINE", dict)
        await published_up_to(connection, position)

        async def content() -> bool:
            return relay.complaint == ""

        await eventually(content)


@pytest.mark.parametrize("headers", [None, {"Es-Pos": "x"}, {"Es-Pos": ""}])
@pytest.mark.parametrize("later", [2, 5, 20])
async def test_messages_that_are_no_events_do_not_stop_the_relay_and_are_complained_of(
    connection: Client, ordering: OrderingLog, headers: dict[str, str] | None, later: int
) -> None:
    """Readers pass them over, and take from the store what they stand in the place of."""
    service = LogService(connection, ordering.store)
    await service.start()
    relay = Relay(connection, ordering.store, audit_seconds=0.05)
    async with running(relay.run()):
        await published_up_to(connection, await ordering.add(20))
        for _ in range(3):
            await connection.jetstream().publish(f"ev.{CONTEXT}.3.Made", b"by hand", headers=headers)
        await published_up_to(connection, await ordering.add(later))

        async def complaining() -> bool:
            return "messages that are no events" in relay.complaint

        await eventually(complaining)
        projection = Projection()
        async with running(projection.follow(LogReader(connection, "test", [CONTEXT]))):
            await projection.has(ordering)
    await service.stop()
