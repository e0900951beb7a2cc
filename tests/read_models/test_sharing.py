"""Projector processes divide the partitions among themselves, and again whenever one comes or goes."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from infra.embedded.servers import Process
from infra.messages.events import PARTITIONS
from infra.mongo import Mongo
from read_models.stock import STOCK
from read_models.workers.partition_assignment import MEMBERS, GroupMembership, part
from tests.conftest import Server
from tests.read_models import examples
from tests.read_models.logs import Logs, caught_up, eventually, stored

ROOT = Path(__file__).parents[2]
ALL = tuple(range(PARTITIONS))


@pytest.mark.parametrize("processes", range(1, PARTITIONS + 3))
def test_every_partition_is_one_process_s_and_the_parts_are_even(processes: int) -> None:
    parts = [part(index, processes) for index in range(processes)]
    assert tuple(itertools.chain(*parts)) == ALL
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@asynccontextmanager
async def member(mongo: Mongo, gone_seconds: float = 0.5) -> AsyncIterator[GroupMembership]:
    """One of several processes, as far as the others see it; it does not say goodbye."""
    membership = GroupMembership(mongo, beat_seconds=0.02, gone_seconds=gone_seconds)
    task = asyncio.create_task(membership.run())
    try:
        yield membership
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def share(*parts: tuple[GroupMembership, tuple[int, ...]]) -> None:
    """Return when each has its part."""

    async def theirs() -> bool:
        return all(membership.share.partitions == partitions for membership, partitions in parts)

    await eventually(theirs)


async def test_who_comes_gets_a_part_and_who_leaves_gives_it_back(mongo: Mongo) -> None:
    async with member(mongo, gone_seconds=3_600) as first:
        await share((first, ALL))
        async with member(mongo, gone_seconds=3_600) as second:
            await share((first, ALL[:8]), (second, ALL[8:]))
        await second.leave()
        await share((first, ALL))


async def test_who_dies_without_a_word_is_noticed(mongo: Mongo) -> None:
    async with member(mongo) as first:
        async with member(mongo) as second:
            await share((first, ALL[:8]), (second, ALL[8:]))
        await share((first, ALL))

        async def forgotten() -> bool:
            return len(await mongo.find(MEMBERS, {})) == 1

        await eventually(forgotten)


async def test_who_was_held_up_and_forgotten_comes_back(mongo: Mongo) -> None:
    async with member(mongo) as first:
        await share((first, ALL))
        await mongo.drop(MEMBERS)
        await share((first, ALL))
        async with member(mongo) as second:
            await share((first, ALL[:8]), (second, ALL[8:]))


def taken(log: Path) -> tuple[int, ...]:
    """The partitions that a process last took."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    shares = [line["partitions"] for line in lines if line["event"] == "partitions assigned"]
    return tuple(shares[-1]) if shares else ()


async def test_processes_share_the_work_and_take_over_from_a_dead_one(
    mongo: Mongo,
    mongo_url: str,
    mongo_database: str,
    nats: Server,
    connection: Client,
    logs: Logs,
    tmp_path: Path,
) -> None:
    processes = [
        Process(
            "read-models",
            [sys.executable, "-m", "read_models", "run", "stock", "--partitions", "shared"],
            tmp_path / f"log-{number}",
            lambda: True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "ORDERFOLD_NATS_URL": nats.url,
                "ORDERFOLD_MONGO_URL": mongo_url,
                "ORDERFOLD_MONGO_DATABASE": mongo_database,
                "ORDERFOLD_LOG_FORMAT": "json",
            },
        )
        for number in range(2)
    ]

    async def halves() -> bool:
        return {taken(tmp_path / f"log-{number}") for number in range(2)} == {ALL[:8], ALL[8:]}

    try:
        for process in processes:
            process.start()
        await eventually(halves)
        await logs.happened(*((f"stock-S{number}", examples.received) for number in range(40)))
        await caught_up(mongo, logs, STOCK)
        os.kill(processes[0].pid, signal.SIGKILL)
        await logs.happened(*((f"stock-S{number}", examples.received) for number in range(40)))
        await caught_up(mongo, logs, STOCK)
        assert await stored(mongo, "stock") == await logs.expected(STOCK)
        assert taken(tmp_path / "log-1") == ALL
    finally:
        for process in processes:
            process.kill()
