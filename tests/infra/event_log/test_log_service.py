"""Whoever must refill or replay asks a context for its log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.event_log.messages import Heads
from infra.event_log.server import ContextUnavailable, LogClient, LogService
from infra.messages.events import PARTITIONS
from infra.nats.connection import request
from tests.conftest import Server
from tests.infra.event_log.ordering_log import CONTEXT, METADATA, OrderingLog, chained
from tests.support.deadlines import HOLDS_SECONDS


@pytest.fixture
async def service(connection: Client, ordering: OrderingLog) -> AsyncIterator[LogService]:
    """The store's log, served."""
    service = LogService(connection, ordering.store)
    await service.start()
    yield service
    await service.stop()


async def test_a_page_has_the_events_as_they_are_stored_with_their_chain(
    service: LogService, connection: Client, ordering: OrderingLog
) -> None:
    await ordering.add(50)
    stored = await ordering.all()
    page = await LogClient(connection).page(CONTEXT, 20)
    assert [(event.position, event.prev, event.event_id) for event in page.events] == chained(stored)[20:]
    assert [event.data for event in page.events] == [event.data for event in stored[20:]]
    assert {event.metadata for event in page.events} == {METADATA}
    assert {event.name for event in page.events} == {"ordering.OrderPlaced"}
    assert (page.head, page.through) == (50, 50)


async def test_heads_are_the_last_position_of_each_partition(
    service: LogService, connection: Client, ordering: OrderingLog
) -> None:
    client = LogClient(connection)
    assert await client.heads(CONTEXT) == [0] * PARTITIONS
    await ordering.add(50)
    heads = await ordering.store.partition_heads()
    assert await client.heads(CONTEXT) == heads
    assert await client.all_heads([CONTEXT]) == {CONTEXT: heads}


async def test_a_page_of_some_partitions_has_their_chains(
    service: LogService, connection: Client, ordering: OrderingLog
) -> None:
    await ordering.add(100)
    wanted = {1, 8, 11}
    page = await LogClient(connection).page(CONTEXT, 30, partitions=wanted)
    assert [(event.position, event.prev, event.event_id) for event in page.events] == [
        entry
        for entry, event in zip(await ordering.chain(), await ordering.all(), strict=True)
        if event.position > 30 and event.partition in wanted
    ]
    assert page.through == 100


@pytest.mark.parametrize("damaged", [b"", b'{"order_id":"4', b"\x00\xff" * 1_000, b'"}],"through":9}'])
async def test_an_event_that_is_not_json_does_not_hide_the_others(
    service: LogService, connection: Client, ordering: OrderingLog, damaged: bytes
) -> None:
    await ordering.add(3)
    await ordering.add_damaged(damaged)
    await ordering.add(3)
    page = await LogClient(connection).page(CONTEXT, 0)
    stored = [event.data for event in await ordering.all()]
    assert stored[3] == damaged
    assert [event.data for event in page.events if event.position != 4] == stored[:3] + stored[4:]
    assert page.events[3].data == msgspec.json.encode(damaged[:200].decode(errors="replace"))
    assert (page.through, page.head) == (7, 7)


async def test_filters_are_the_stores(service: LogService, connection: Client, ordering: OrderingLog) -> None:
    await ordering.add(60)
    client = LogClient(connection)
    of_stream = await client.page(CONTEXT, 0, stream="order-7")
    assert {event.stream for event in of_stream.events} == {"order-7"}
    assert [event.version for event in of_stream.events] == [1, 2]
    assert (await client.page(CONTEXT, 0, names=["ordering.OrderCancelled"])).events == []
    assert len((await client.page(CONTEXT, 0, names=["ordering.OrderPlaced"])).events) == 60
    long_ago = METADATA.time - timedelta(days=10_000)
    assert (await client.page(CONTEXT, 0, until=long_ago)).events == []
    assert len((await client.page(CONTEXT, 0, since=long_ago)).events) == 60


async def test_reading_goes_page_by_page_to_where_the_log_ended(
    service: LogService, connection: Client, ordering: OrderingLog
) -> None:
    for _ in range(3):
        await ordering.add(700)
    pages = [page async for page in LogClient(connection).read(CONTEXT, 50)]
    assert [len(page) for page in pages] == [1_000, 1_000, 50]
    assert [event.position for page in pages for event in page] == list(range(51, 2_101))


async def test_reading_for_an_event_that_never_was_ends(
    service: LogService, connection: Client, ordering: OrderingLog
) -> None:
    await ordering.add(30)
    assert [page async for page in LogClient(connection).read(CONTEXT, stream="order-none")] == []


@pytest.mark.parametrize("size", [50, 40_000, 890_000])
async def test_a_page_fits_into_a_message_whatever_the_events_weigh(
    service: LogService, connection: Client, ordering: OrderingLog, size: int
) -> None:
    await ordering.add(1)
    await ordering.add(12, pad=size)
    answer = await request(connection, f"svc.{CONTEXT}.log", b'{"after":1}')
    assert len(answer.data) < 1_000_000
    read = [event async for page in LogClient(connection).read(CONTEXT, 1) for event in page]
    assert [event.data for event in read] == [event.data for event in (await ordering.all())[1:]]


async def test_behind_counts_what_lies_after_each_position(
    service: LogService, connection: Client, ordering: OrderingLog
) -> None:
    await ordering.add(4, order="42")
    behind = await LogClient(connection).behind(CONTEXT, [2] * 16)
    assert behind == await ordering.store.behind([2] * 16)
    assert behind[8].events == 2
    assert behind[8].oldest is not None


async def test_heads_are_announced_after_a_commit(
    service: LogService, connection: Client, ordering: OrderingLog
) -> None:
    heard: asyncio.Queue[tuple[int, ...]] = asyncio.Queue()

    async def hear(message: Msg) -> None:
        await heard.put(msgspec.json.decode(message.data, type=Heads).heads)

    await connection.subscribe(f"head.{CONTEXT}", cb=hear)
    position = await ordering.add(1, order="42")
    async with asyncio.timeout(HOLDS_SECONDS):
        while max(heads := await heard.get()) < position:
            pass
    assert heads[8] == position


async def test_many_questions_at_once_are_all_answered(
    service: LogService, connection: Client, ordering: OrderingLog
) -> None:
    await ordering.add(40)
    pages = await asyncio.gather(*(LogClient(connection).page(CONTEXT, after) for after in range(40)))
    assert [len(page.events) for page in pages] == list(range(40, 0, -1))


async def test_nobody_answers_within_the_time_limit(nats: Server, connection: Client) -> None:
    client = LogClient(connection, timeout=3)
    with pytest.raises(ContextUnavailable, match=r"ordering did not answer within 3 s: nobody serves"):
        await client.page(CONTEXT, 0)
    nats.process.kill()
    with pytest.raises(ContextUnavailable):
        await client.behind(CONTEXT, [0] * 16)


async def test_a_context_that_starts_late_is_waited_for(connection: Client, ordering: OrderingLog) -> None:
    asking = asyncio.create_task(LogClient(connection).page(CONTEXT, 0))
    await asyncio.sleep(0)
    service = LogService(connection, ordering.store)
    await service.start()
    assert (await asking).events == []
    await service.stop()


@pytest.mark.parametrize(
    ("subject", "question"),
    [("log", b'{"after":"x"}'), ("log", b"nonsense"), ("behind", b'{"positions":[1]}')],
)
async def test_a_wrong_question_is_refused_and_the_next_is_answered(
    service: LogService, connection: Client, subject: str, question: bytes
) -> None:
    answer = await request(connection, f"svc.{CONTEXT}.{subject}", question)
    assert msgspec.json.decode(answer.data)["type"] == "refused"
    assert (await LogClient(connection).page(CONTEXT, 0)).head == 0


async def test_replicas_share_the_questions(connection: Client, ordering: OrderingLog) -> None:
    services = [LogService(connection, ordering.store) for _ in range(2)]
    for service in services:
        await service.start()
    await ordering.add(3)
    pages = await asyncio.gather(*(LogClient(connection).page(CONTEXT, 0) for _ in range(20)))
    assert {len(page.events) for page in pages} == {3}
    await services[0].stop()
    assert len((await LogClient(connection).page(CONTEXT, 0)).events) == 3
    await services[1].stop()
