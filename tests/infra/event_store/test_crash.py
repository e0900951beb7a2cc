"""What was reported as committed is there, whatever was killed afterwards; nothing is there by half."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter

from infra.event_store.store import EventStore
from infra.messages.events import Recorded
from tests.infra.event_store.writer import both
from tests.support.deadlines import HOLDS_SECONDS

EACH = 600
"""Appends of each process."""


async def writer(url: str, name: str, count: int) -> Process:
    """A process that has opened the store and waits for the word."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.infra.event_store.writer", url, name, str(count), stdin=PIPE, stdout=PIPE
    )
    assert await lines(process, at_most=1) == ["ready"]
    return process


def go(process: Process) -> None:
    """Let it write."""
    assert process.stdin is not None
    process.stdin.write(b"go\n")


async def lines(process: Process, at_most: int | None = None) -> list[str]:
    """What the process printed: so many lines, or all until its end."""
    assert process.stdout is not None
    read: list[str] = []
    while at_most is None or len(read) < at_most:
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):  # the end, or a line the kill cut off
            break
        read.append(line.decode().strip())
    return read


async def test_a_writer_killed_in_the_middle_loses_nothing_it_reported_and_leaves_nothing_half_done(
    store_url: str,
) -> None:
    reported: list[str] = []
    for name in ("first", "second", "third"):
        async with asyncio.timeout(HOLDS_SECONDS):
            process = await writer(store_url, name, 1_000_000)
            go(process)
            reported += await lines(process, at_most=300)
            process.kill()
            reported += await lines(process)
            await process.wait()
    store = await EventStore.open("ordering", store_url)
    written = Counter[str]()
    after = 0
    while page := await store.read_log(after, 1_000):
        written.update(event.stream for event in page)
        after = page[-1].position
    noted = await store.notes("price")
    assert len(reported) >= 900
    for command_id in reported:
        assert command_id in noted
    for command_id in noted:
        order, payment = both(command_id)
        assert written.pop(order) == 2
        assert written.pop(payment) == 1
        assert await store.command(command_id) is not None
    assert not written
    await store.close()


async def test_two_processes_and_a_reader_that_never_skips_and_never_goes_back(postgres_store: str) -> None:
    store = await EventStore.open("ordering", postgres_store)
    changed = asyncio.Event()
    store.on_commit(changed.set)
    processes = [await writer(postgres_store, name, EACH) for name in ("one", "two")]
    for process in processes:
        go(process)
    reported = asyncio.gather(*[lines(process) for process in processes])
    tail: list[int] = []
    together = 0
    async with asyncio.timeout(HOLDS_SECONDS):
        page: list[Recorded] = []
        while page or not reported.done():
            changed.clear()
            page = await store.read_log(tail[-1] if tail else 0, 50)
            tail += [event.position for event in page]
            together += len({event.stream.partition("-")[2][:3] for event in page}) == 2
            if not page:
                # No polling: whoever commits notifies.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), 2)
        tail += [event.position for event in await store.read_log(tail[-1], 10_000)]
        done = await reported
        for process in processes:
            assert await process.wait() == 0
    assert [len(lines) for lines in done] == [EACH, EACH]
    assert tail == [event.position for event in await store.read_log(0, 10_000)]
    assert together, "the processes did not write at the same time: this run shows nothing"
    await store.close()
