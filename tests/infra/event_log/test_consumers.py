"""What readers leave behind on JetStream."""

from __future__ import annotations

from typing import Any

from nats.aio.client import Client

from infra.event_log.relay import Relay
from infra.event_log.subscription import LogReader
from infra.nats.jetstream import ask, stream_name
from tests.infra.event_log.ordering_log import CONTEXT, OrderingLog, Projection, running


async def test_only_a_reader_of_some_partitions_is_forgotten_when_nobody_uses_it(
    connection: Client, ordering: OrderingLog
) -> None:
    await ordering.add(40)
    whole, half = Projection(), Projection()
    async with running(
        Relay(connection, ordering.store).run(),
        whole.follow(LogReader(connection, "reader", [CONTEXT])),
        half.follow(LogReader(connection, "reader", [CONTEXT], range(8))),
    ):
        await whole.has(ordering)
        await half.has(ordering, partitions=range(8))
        for durable, seconds in (("reader", 0), ("reader-0_to_7", 3_600)):
            info = await ask(connection, f"CONSUMER.INFO.{stream_name(CONTEXT)}.{durable}", dict[str, Any])
            assert info["config"].get("inactive_threshold", 0) == seconds * 10**9
