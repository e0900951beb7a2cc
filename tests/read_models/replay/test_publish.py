"""A context's log in JetStream again: refilled by its relay, watched, limited, held, and never doubled."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import UNSET
from nats.aio.client import Client

from infra.event_log.client import LogClient
from infra.event_log.relay import Relay
from infra.event_log.server import LogService
from infra.event_log.subscription import LogReader
from infra.event_store.store import EventStore
from infra.nats.jetstream import ask, delete_stream, stream_info, stream_name
from read_models.replay.errors import ReplayFailed
from read_models.replay.republish import Publication
from tests.conftest import Server
from tests.infra.event_log.ordering_log import (
    CONTEXT,
    OrderingLog,
    Projection,
    eventually,
    published,
    published_up_to,
    running,
)
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS

ROOT = Path(__file__).parents[3]
NEVER = 10_000.0
"""Seconds until the relay would look at its stream by itself."""


@pytest.fixture
async def ordering(connection: Client, sqlite_store: str) -> AsyncIterator[OrderingLog]:
    """A context's log, served, with a relay that does not look at its stream unless it is told to."""
    store = await EventStore.open(CONTEXT, sqlite_store)
    service = LogService(connection, store)
    await service.start()
    async with running(Relay(connection, store, audit_seconds=NEVER).run()):
        yield OrderingLog(store)
    await service.stop()
    await store.close()


@pytest.fixture
def publication(connection: Client) -> Publication:
    """What an operator has of it."""
    return Publication(connection, LogClient(connection), CONTEXT)


def silent(_: int, __: int) -> None:
    """Nobody watches."""


async def test_a_stream_of_another_form_is_told_of_and_made_anew_when_asked_for(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    await ordering.add(50)
    assert (await publication.complete(UNSET, silent)).whole
    info = await stream_info(connection, stream_name(CONTEXT))
    assert info is not None
    by_hand = {**info.config, "max_msgs": 10, "discard": "old"}
    await ask(connection, f"STREAM.UPDATE.{stream_name(CONTEXT)}", dict, by_hand)
    await publication.look()

    async def told() -> bool:
        return "max_msgs is 10" in (await publication.look()).complaint

    await eventually(told)
    assert not (await publication.complete(UNSET, silent)).whole
    await publication.begin_anew()
    await publication.complete(UNSET, silent)

    async def whole() -> bool:
        return (await publication.look()).whole

    await eventually(whole)
    assert await published(connection) == await ordering.chain()


async def test_a_stream_that_was_lost_is_refilled_when_asked_for(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    head = await ordering.add(1_203)
    await publication.complete(UNSET, silent)
    await delete_stream(connection, CONTEXT)
    seen: list[tuple[int, int]] = []
    found = await publication.complete(UNSET, lambda done, of: seen.append((done, of)))
    assert (found.position, found.head, found.messages, found.whole) == (head, head, 1_203, True)
    assert await published(connection) == await ordering.chain()
    assert seen == sorted(seen)
    assert seen[-1] == (head, head)


async def test_asking_twice_publishes_nothing_twice(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    await ordering.add(20)
    await publication.complete(UNSET, silent)
    before = await stream_info(connection, "EV_ordering")
    found = await asyncio.gather(*(publication.complete(UNSET, silent) for _ in range(3)))
    assert all(one.whole for one in found)
    assert await stream_info(connection, "EV_ordering") == before


async def test_anew_publishes_everything_again_while_events_come_and_readers_read(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    await ordering.add(1_000)
    await publication.complete(UNSET, silent)
    reader, folded = LogReader(connection, "test", [CONTEXT]), Projection()

    async def more() -> None:
        for _ in range(40):
            await ordering.add(5)

    async with running(folded.follow(reader)):
        adding = asyncio.create_task(more())
        await publication.begin_anew()
        found = await publication.complete(UNSET, silent)
        assert found.whole
        await adding
        await publication.complete(UNSET, silent)
        await folded.has(ordering)
    assert await published(connection) == await ordering.chain()


async def test_a_refill_goes_no_faster_than_it_may_and_live_events_are_not_slowed(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    await ordering.add(600)
    await publication.complete(UNSET, silent)
    await publication.begin_anew()
    began = time.monotonic()
    found = await publication.complete(1_000.0, silent)
    # The last of its quarter seconds' shares is not waited for.
    assert time.monotonic() - began >= 0.35
    assert found.whole

    async def free() -> bool:
        return (await publication.look()).rate is None

    await eventually(free)


async def test_what_is_held_is_not_published_yet_readers_have_it_from_the_store(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    before = await ordering.add(10)
    await publication.complete(UNSET, silent)
    assert (await publication.look(paused=True)).paused
    reader, folded = LogReader(connection, "test", [CONTEXT]), Projection()
    async with running(folded.follow(reader)):
        after = await ordering.add(10)
        await folded.has(ordering)
    held = await publication.complete(UNSET, silent)
    assert (held.paused, held.position, held.head, held.whole) == (True, before, after, False)
    await publication.look(paused=False)
    assert (await publication.complete(UNSET, silent)).whole
    assert await published(connection) == await ordering.chain()


async def test_cancelled_it_is_neither_held_nor_limited_and_becomes_whole_by_itself(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    """Begun anew, held half-way at an event a second, and given up: nothing stays half-published."""
    head = await ordering.add(600)
    await publication.complete(UNSET, silent)
    await publication.begin_anew()
    await publication.begin(1.0)
    await published_up_to(connection, 1)
    held = await publication.look(paused=True)
    assert (held.paused, held.rate, held.whole) == (True, 1.0, False)
    cancelled = await publication.cancel()
    assert (cancelled.was_paused, cancelled.was_limited_to, cancelled.undone) == (True, 1.0, True)
    assert (cancelled.published.paused, cancelled.published.rate) == (False, None)
    # At one a second it would take ten minutes; nobody asks for anything meanwhile.
    await published_up_to(connection, head)
    assert await published(connection) == await ordering.chain()


async def test_whoever_watches_a_limited_refill_sees_it_end_when_it_is_cancelled(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    await ordering.add(600)
    await publication.complete(UNSET, silent)
    await publication.begin_anew()
    watching = asyncio.create_task(publication.complete(1.0, silent))
    await published_up_to(connection, 1)
    await publication.cancel()
    assert (await asyncio.wait_for(watching, HOLDS_SECONDS)).whole


async def test_a_cancelling_when_nothing_was_begun_leaves_all_as_it_was(
    connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    await ordering.add(20)
    await publication.complete(UNSET, silent)
    before = await stream_info(connection, "EV_ordering")
    for _ in range(2):
        cancelled = await publication.cancel()
        assert (cancelled.undone, cancelled.published.whole) == (False, True)
    assert await stream_info(connection, "EV_ordering") == before


async def test_a_held_stream_whose_relay_is_killed_is_published_by_the_next(
    connection: Client, sqlite_store: str, publication: Publication
) -> None:
    """Pause and rate are the leader's: nobody has to remember to undo them after its death."""
    store = await EventStore.open(CONTEXT, sqlite_store)
    log = OrderingLog(store)
    service = LogService(connection, store)
    await service.start()
    async with running(Relay(connection, store, audit_seconds=NEVER).run()):
        await log.add(1)
        await published_up_to(connection, 1)
        await publication.look(paused=True)
        head = await log.add(20)
        assert (await publication.look()).position == 1
    async with running(Relay(connection, store, audit_seconds=NEVER).run()):
        await published_up_to(connection, head)
    assert await published(connection) == await log.chain()
    await service.stop()
    await store.close()


async def test_nothing_is_deleted_when_nobody_would_fill_it_again(
    connection: Client, sqlite_store: str, publication: Publication
) -> None:
    store = await EventStore.open(CONTEXT, sqlite_store)
    log = OrderingLog(store)
    async with running(Relay(connection, store).run()):
        await log.add(3)
        while len(await published(connection)) < 3:
            await asyncio.sleep(0.01)
    with pytest.raises(ReplayFailed, match="no process leads ordering"):
        await publication.begin_anew()
    assert len(await published(connection)) == 3
    await store.close()


async def command(nats: Server, mongo_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command, as an operator does."""
    environ = {
        "PATH": os.environ["PATH"],
        "ORDERFOLD_NATS_URL": nats.url,
        "ORDERFOLD_MONGO_URL": mongo_url,
    }
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "orderfold", "replay", "publish", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


async def test_the_command_publishes_pauses_and_resumes(
    nats: Server, mongo_url: str, connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    head = await ordering.add(30)
    await publication.complete(UNSET, silent)
    anew = await command(nats, mongo_url, CONTEXT, "--anew", "--json")
    assert anew.returncode == 0, anew.stderr
    told = json.loads(anew.stdout)
    assert (told["position"], told["messages"], told["whole"]) == (head, 30, True)
    paused = await command(nats, mongo_url, CONTEXT, "--pause")
    assert paused.stdout.endswith("is published; paused\n")
    refused = await command(nats, mongo_url, CONTEXT)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--resume has it go on" in refused.stderr
    resumed = await command(nats, mongo_url, CONTEXT, "--resume")
    assert resumed.stdout.endswith("30 events; the stream is whole\n")


async def test_the_command_tells_what_it_has_cancelled(
    nats: Server, mongo_url: str, connection: Client, ordering: OrderingLog, publication: Publication
) -> None:
    head = await ordering.add(30)
    await publication.complete(UNSET, silent)
    nothing = await command(nats, mongo_url, CONTEXT, "--cancel")
    assert nothing.returncode == 0, nothing.stderr
    assert nothing.stdout.startswith("nothing to cancel: nobody holds the publishing of ordering up. ")
    await publication.look(paused=True)
    await ordering.add(5)
    cancelled = await command(nats, mongo_url, CONTEXT, "--cancel")
    assert cancelled.stdout.startswith("cancelled: the pause")
    await published_up_to(connection, head + 5)
    again = await command(nats, mongo_url, CONTEXT, "--cancel", "--json")
    told = json.loads(again.stdout)
    assert (told["undone"], told["paused"], told["whole"]) == (False, False, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["sailing"], "unknown context 'sailing'"),
        (["ordering"], "no process leads ordering"),
        (["ordering", "--pause", "--anew"], "--pause goes with neither"),
        (["ordering", "--rate", "0"], "--rate"),
        (["ordering", "--cancel"], "no process leads ordering"),
        (["ordering", "--cancel", "--anew"], "--cancel goes with no other option"),
    ],
)
async def test_what_cannot_be_done_is_a_line_and_status_2(
    nats: Server, mongo_url: str, arguments: list[str], reason: str
) -> None:
    refused = await command(nats, mongo_url, *arguments)
    assert refused.returncode == 2
    assert reason in refused.stderr
    assert refused.stderr.count("\n") == 1
