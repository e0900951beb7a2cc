"""Waiting for tasks and events, without losing a cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_AGAIN_SECONDS = 2.0
"""How long a cancelled task may take to end before it is cancelled again."""


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether the event was set within so many seconds; None waits without a limit."""
    # Not `asyncio.wait_for`: before Python 3.12 it swallows a cancellation that comes as it returns.
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


@contextlib.contextmanager
def keeping_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end if what is called inside lost a cancellation.

    `asyncio.wait_for` does so before Python 3.12 when its result comes at the same moment.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


async def cancel_all(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks, and return when all have cleaned up and ended; what they raise is dropped."""
    ending = [task for task in tasks if task is not None]
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def run_within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What the work returns; raises TimeoutError, with the work cancelled, if that takes longer.

    For a library's work that loses a cancellation now and then and goes on, so that `asyncio.timeout` would
    wait for ever: it is cancelled again until it has ended. So it must have nothing to clean up.
    """
    working = asyncio.create_task(work)
    try:
        await asyncio.wait({working}, timeout=seconds)
        if not working.done():
            raise TimeoutError
        return working.result()
    finally:
        while not working.done():
            working.cancel()
            await asyncio.wait({working}, timeout=CANCEL_AGAIN_SECONDS)


async def run_until(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work returns; None if it was cancelled because `stopping` is set."""
    working = asyncio.create_task(work)
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Also when this is cancelled: what the work still does would fail on what its caller closes next.
        await cancel_all(stop, None if working.done() else working)
    return None if working.cancelled() else working.result()
