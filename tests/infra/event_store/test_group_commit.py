"""Appends that share a commit do not feel each other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import pytest

from infra.event_store import group_commit
from infra.event_store.store import (
    CheckpointMoved,
    CommandRepeated,
    CommandReused,
    Conflict,
    EventStore,
    StoreBusy,
    StoreUnavailable,
)
from infra.messages.events import Append, Appended, Metadata, StreamAppend
from tests.infra.event_store.messages import append, command, move, note, part


async def together(store: EventStore, *appends: Append) -> list[Appended | BaseException]:
    """Append at once, so that one commit takes them all; the answers in order."""
    answers = [asyncio.create_task(store.append(one)) for one in appends]
    before = store.commit_sizes.commits
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert store.commit_sizes.commits - before <= 2  # the writer may take the first one alone
    return results


async def test_a_conflict_fails_only_its_own_append(store: EventStore) -> None:
    await store.append(append(part("order-2", 0, "OrderPlaced")))
    first, second, third = await together(
        store,
        append(part("order-1", 0, "OrderPlaced")),
        append(part("order-2", 0, "OrderPlaced")),
        append(part("order-3", 0, "OrderPlaced")),
    )
    assert isinstance(first, Appended)
    assert isinstance(second, Conflict)
    assert isinstance(third, Appended)
    assert [event.stream for event in await store.read_log(1, 10)] == ["order-1", "order-3"]


async def test_two_appends_to_one_stream_are_checked_one_after_the_other(store: EventStore) -> None:
    answers = await together(
        store,
        append(part("order-1", 0, "OrderPlaced")),
        append(part("order-1", 0, "OrderPlaced")),
        append(part("order-1", 1, "OrderConfirmed", "OrderDispatched")),
        append(part("order-1", 2, "OrderCompleted")),
        append(part("order-1", 3, "OrderCompleted")),
    )
    assert [type(answer) for answer in answers] == [Appended, Conflict, Appended, Conflict, Appended]
    assert [event.version for event in await store.load("order-1")] == [1, 2, 3, 4]


async def test_a_command_repeated_within_a_group_is_carried_out_once(store: EventStore) -> None:
    placed = append(part("order-1", 0, "OrderPlaced"), command=command("c-1", reply=b"first"))
    other = append(part("order-2", 0, "OrderPlaced"), command=command("c-1", b"other", b"second"))
    first, repeated, reused = await together(store, placed, placed, other)
    assert isinstance(first, Appended)
    assert isinstance(repeated, CommandRepeated)
    assert repeated.reply == b"first"
    assert isinstance(reused, CommandReused)
    assert await store.head() == 1


async def test_checkpoints_and_notes_of_a_group_follow_its_order(store: EventStore) -> None:
    answers = await together(
        store,
        Append(checkpoints=(move(0, 5),), notes=(note("MUG", b"1"), note("CUP", b"1"))),
        Append(checkpoints=(move(0, 6),), notes=(note("MUG", b"lost"),)),
        Append(checkpoints=(move(5, 7),), notes=(note("MUG", b"2"), note("CUP", None))),
    )
    assert [type(answer) for answer in answers] == [Appended, CheckpointMoved, Appended]
    assert (await store.checkpoints("inbox"))["catalog", 3].position == 7
    assert await store.notes("price") == {"MUG": b"2"}


async def test_an_append_that_cannot_be_encoded_does_not_hurt_its_neighbours(store: EventStore) -> None:
    naive = Metadata(
        time=datetime(2026, 1, 1),  # noqa: DTZ001 - this is what is wrong with it
        causation_id="",
        correlation_id="",
        actor="",
    )
    broken = append(StreamAppend("order-2", 0, part("order-2", 0, "OrderPlaced").events, naive))
    answers = await asyncio.gather(
        store.append(append(part("order-1", 0, "OrderPlaced"))),
        store.append(broken),
        store.append(append(part("order-3", 0, "OrderPlaced"))),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Appended, TypeError, Appended]
    assert len(await store.read_log(0, 10)) == 2


async def test_a_cancelled_caller_leaves_the_others_unharmed(store: EventStore) -> None:
    tasks = [
        asyncio.create_task(store.append(append(part(f"order-{number}", 0, "OrderPlaced"))))
        for number in range(50)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, Appended) for answer in answers[1::2])
    await store.append(append(part("order-last", 0, "OrderPlaced")))
    streams = {event.stream for event in await store.read_log(0, 100)}
    assert streams >= {f"order-{number}" for number in range(1, 50, 2)}


async def test_concurrent_appends_share_commits(store: EventStore) -> None:
    await asyncio.gather(
        *[store.append(append(part(f"order-{number}", 0, "OrderPlaced"))) for number in range(200)]
    )
    sizes = store.commit_sizes
    assert sizes.appends == sizes.events == 200
    assert sizes.commits < 20
    assert sizes.largest > 20


async def test_a_commit_takes_so_many_appends_and_bytes_and_no_more(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "BYTES_AT_MOST", 1_000)
    await asyncio.gather(
        *[
            store.append(append(part(f"order-{number}", 0, "OrderPlaced", data=b"x" * 400)))
            for number in range(30)
        ]
    )
    assert store.commit_sizes.largest == 3
    monkeypatch.setattr(group_commit, "APPENDS_AT_MOST", 2)
    commits = store.commit_sizes.commits
    await asyncio.gather(
        *[store.append(append(part(f"payment-{number}", 0, "Authorized"))) for number in range(30)]
    )
    assert store.commit_sizes.commits - commits >= 15


async def test_beyond_its_limit_the_queue_refuses_at_once(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "WAITING_AT_MOST", 10)
    answers = await asyncio.gather(
        *[store.append(append(part(f"order-{number}", 0, "OrderPlaced"))) for number in range(15)],
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers[10:]] == [StoreBusy] * 5
    assert all(isinstance(answer, Appended) for answer in answers[:10])
    assert len(await store.read_log(0, 100)) == 10


async def test_what_waits_is_committed_before_close_returns(store_url: str) -> None:
    store = await EventStore.open("ordering", store_url)
    tasks = [
        asyncio.create_task(store.append(append(part(f"order-{number}", 0, "OrderPlaced"))))
        for number in range(100)
    ]
    await asyncio.sleep(0)
    await store.close()
    assert all(isinstance(answer, Appended) for answer in await asyncio.gather(*tasks))
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.append(append(part("order-late", 0, "OrderPlaced")))
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.load("order-1")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.head()
    again = await EventStore.open("ordering", store_url)
    assert len(await again.read_log(0, 200)) == 100
    await again.close()


async def test_listeners_hear_of_commits_and_a_failing_one_does_no_harm(store: EventStore) -> None:
    heard: list[int] = []

    def fails() -> None:
        raise RuntimeError("a listener's fault")

    store.on_commit(fails)
    store.on_commit(lambda: heard.append(1))
    await store.append(append(part("order-1", 0, "OrderPlaced")))
    assert heard
    heard.clear()
    with pytest.raises(Conflict):
        await store.append(append(part("order-1", 0, "OrderPlaced")))
    assert not heard


@pytest.fixture
def seeded() -> random.Random:
    return random.Random(4242)


async def test_many_tasks_on_few_streams_lose_nothing_and_write_nothing_twice(
    store: EventStore, seeded: random.Random
) -> None:
    streams = [f"stock-{number}" for number in range(5)]
    wanted = dict.fromkeys(streams, 0)

    async def task(number: int) -> None:
        for step in range(8):
            chosen = sorted(seeded.sample(streams, seeded.choice([1, 1, 2])))
            count = seeded.choice([1, 2])
            for stream in chosen:
                wanted[stream] += count
            await retried(chosen, count, f"{number}:{step}")

    async def retried(chosen: Sequence[str], count: int, command_id: str) -> None:
        while True:
            versions = [len(await store.load(stream)) for stream in chosen]
            try:
                await store.append(
                    append(
                        *[
                            part(stream, version, *["Counted"] * count)
                            for stream, version in zip(chosen, versions, strict=True)
                        ],
                        command=command(command_id),
                    )
                )
            except Conflict:
                continue
            return

    await asyncio.gather(*[task(number) for number in range(20)])
    for stream in streams:
        assert [event.version for event in await store.load(stream)] == list(range(1, wanted[stream] + 1))
    log = await store.read_log(0, 10_000)
    assert len(log) == sum(wanted.values())
    positions = [event.position for event in log]
    assert positions == sorted(set(positions))


async def paged(store: EventStore, limit: int) -> AsyncIterator[str]:
    after = 0
    while page := await store.read_log(after, limit):
        for event in page:
            yield event.event_id
        after = page[-1].position


async def test_the_log_in_pages_is_the_log(store: EventStore) -> None:
    await asyncio.gather(*[store.append(append(part(f"order-{n}", 0, "A", "B"))) for n in range(50)])
    whole = [event.event_id for event in await store.read_log(0, 1_000)]
    assert [event_id async for event_id in paged(store, 7)] == whole
    assert len(whole) == 100
