"""Retry policies: what fails for a while is tried again after growing pauses, by tenacity.

`retry` repeats one thing until it succeeds. `Backoff` is the pause between the runs of a worker that never
gives up and may get on for hours in between.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_never,
)

from infra.aio import run_until, wait_for_event

T = TypeVar("T")

Report = Callable[[BaseException], None]
"""Is given what was raised, before each pause."""


def pause_after(tries: int, first: float, longest: float) -> float:
    """The seconds to wait after so many tries: doubling from `first` to `longest`.

    Each is shortened at random, up to a half, so that two who compete do not keep in step.
    """
    # Beyond 2**30 the limit holds in any case, and a float has an end.
    return min(first * 2.0 ** min(tries - 1, 30), longest) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


class Backoff:
    """Pauses that double from `first` to `longest` seconds until progress resets them."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    @property
    def fresh(self) -> bool:
        """Whether nothing has failed since the last progress."""
        return self._tries == 0

    def reset(self) -> None:
        """There was progress: begin with the shortest pause again."""
        self._tries = 0

    def take(self) -> float:
        """The seconds to wait now."""
        self._tries += 1
        return pause_after(self._tries, self._first, self._longest)

    async def pause(self, stopping: asyncio.Event | None = None) -> None:
        """Wait, at most until `stopping` is set."""
        if stopping is None:
            await asyncio.sleep(self.take())
        else:
            await wait_for_event(stopping, self.take())


async def retry(
    work: Callable[[], Awaitable[T]],
    *errors: type[Exception],
    first: float,
    longest: float,
    tries: int | None = None,
    report: Report | None = None,
) -> T:
    """Do work, again whenever it raises one of `errors`: without end, unless so many `tries` are given.

    The last error is raised as it is.
    """
    backoff = Backoff(first, longest)

    async def attempt() -> T:
        # tenacity awaits only what it can tell is a coroutine function; a lambda that returns one is not.
        return await work()

    attempts = AsyncRetrying(
        sleep=asyncio.sleep,
        wait=lambda _: backoff.take(),
        stop=stop_never if tries is None else stop_after_attempt(tries),
        retry=retry_if_exception_type(errors),
        before_sleep=None if report is None else _reporting(report),
        reraise=True,
    )
    result: T = await attempts(attempt)
    return result


async def until_there(
    make: Callable[[], Awaitable[T]], *errors: type[Exception], report: Report, stopping: asyncio.Event
) -> T | None:
    """What `make` returns, such as a connection, once its servers are there; None if stopped before."""
    return await run_until(stopping, retry(make, *errors, first=0.25, longest=5.0, report=report))


def _reporting(report: Report) -> Callable[[RetryCallState], None]:
    def failed(state: RetryCallState) -> None:
        if state.outcome is not None and (error := state.outcome.exception()) is not None:
            report(error)

    return failed
