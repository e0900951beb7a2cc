"""Tasks that lose a cancellation, as those that use `asyncio.wait_for` do before Python 3.12."""

from __future__ import annotations

import asyncio

import pytest

from infra import aio
from infra.aio import cancel_all, keeping_cancellation, run_within, wait_for_event
from tests.support.deadlines import HOLDS_SECONDS


class Deaf:
    """Work that loses its first cancellation, and would go on for ever."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.lost = 0

    async def work(self) -> None:
        self.begun.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.lost += 1
                if self.lost > 1:
                    raise


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "CANCEL_AGAIN_SECONDS", 0.01)


async def test_a_task_may_take_its_time_to_clean_up() -> None:
    begun, cleaned, release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()
            cleaned.set()

    task = asyncio.create_task(work())
    await begun.wait()
    ending = asyncio.create_task(cancel_all(task, None))
    # Longer than what `run_within` gives its work before it cancels again.
    assert not await wait_for_event(cleaned, 0.05)
    release.set()
    await ending
    assert cleaned.is_set()


async def test_work_that_takes_too_long_ends_although_it_loses_a_cancellation() -> None:
    deaf = Deaf()
    async with asyncio.timeout(HOLDS_SECONDS):
        with pytest.raises(TimeoutError):
            await run_within(0.01, deaf.work())
    assert deaf.lost == 2


async def test_work_in_time_gives_its_result_or_raises_what_it_raised() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> int:
        raise ValueError("no")

    assert await run_within(HOLDS_SECONDS, answer()) == 42
    with pytest.raises(ValueError, match="no"):
        await run_within(HOLDS_SECONDS, fail())


async def test_a_cancellation_that_a_library_loses_is_kept() -> None:
    waiting = asyncio.Event()

    async def answered() -> str:
        """As a request whose answer comes at the moment it is cancelled."""
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "the answer"
        raise AssertionError

    async def ask() -> str:
        with keeping_cancellation():
            return await answered()

    asking = asyncio.create_task(ask())
    await waiting.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_what_is_not_cancelled_returns_and_raises_as_it_is() -> None:
    with keeping_cancellation():
        await asyncio.sleep(0)
    with pytest.raises(LookupError), keeping_cancellation():
        raise LookupError
