"""Retry policies: until it succeeds, so many times, and until somebody stops it."""

from __future__ import annotations

import asyncio

import pytest

from infra.retry import Backoff, pause_after, retry, until_there
from tests.support.deadlines import HOLDS_SECONDS


class Away(Exception):
    """The server is not there."""


class Server:
    """Answers after it was away for so many calls."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.calls = 0

    async def call(self) -> str:
        self.calls += 1
        if self.calls <= self.away:
            raise Away(f"call {self.calls}")
        return "there"


async def test_what_fails_is_tried_again_and_each_failure_is_reported() -> None:
    server, reported = Server(away=3), list[str]()
    answer = await retry(
        server.call, Away, first=0.001, longest=0.002, report=lambda error: reported.append(str(error))
    )
    assert (answer, reported) == ("there", ["call 1", "call 2", "call 3"])


async def test_after_so_many_tries_the_last_error_is_raised_as_it_is() -> None:
    server = Server(away=9)
    with pytest.raises(Away, match="call 3"):
        await retry(server.call, Away, first=0.001, longest=0.002, tries=3)
    assert server.calls == 3


async def test_a_function_that_returns_an_awaitable_is_tried_again_too() -> None:
    server = Server(away=1)
    assert await retry(lambda: server.call(), Away, first=0.001, longest=0.002) == "there"  # noqa: PLW0108


async def test_another_error_is_raised_at_once() -> None:
    server = Server(away=1)
    with pytest.raises(Away):
        await retry(server.call, ValueError, first=0.001, longest=0.002)
    assert server.calls == 1


async def test_a_retry_is_cancelled_in_its_pause() -> None:
    failed = asyncio.Event()
    server = Server(away=9)
    trying = asyncio.create_task(
        retry(server.call, Away, first=3_600, longest=3_600, report=lambda _: failed.set())
    )
    await failed.wait()
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying


async def test_what_is_waited_for_is_returned_once_it_is_there() -> None:
    stopping = asyncio.Event()
    server = Server(away=1)
    async with asyncio.timeout(HOLDS_SECONDS):
        assert await until_there(server.call, Away, report=lambda _: None, stopping=stopping) == "there"


async def test_who_is_stopped_waits_no_more_and_leaves_nothing_at_work() -> None:
    stopping, begun, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hangs() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "there"

    waiting = asyncio.create_task(until_there(hangs, Away, report=lambda _: None, stopping=stopping))
    await begun.wait()
    stopping.set()
    assert await waiting is None
    assert ended.is_set()


async def test_pauses_double_up_to_the_longest_and_are_shortened_by_half_at_most() -> None:
    longest = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for tries, expected in enumerate(longest, start=1):
        assert expected / 2 <= pause_after(tries, 0.1, 1.0) <= expected
    assert pause_after(10_000, 0.1, 1.0) <= 1.0


async def test_progress_begins_with_the_shortest_pause_again() -> None:
    backoff = Backoff(0.1, 60.0)
    fresh = [backoff.fresh]
    assert [backoff.take() for _ in range(8)][-1] >= 6.4
    fresh.append(backoff.fresh)
    backoff.reset()
    fresh.append(backoff.fresh)
    assert fresh == [True, False, True]
    assert backoff.take() <= 0.1
