"""Processes that tests start and wait for; none outlives the event loop that waits for it."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process

from tests.support.deadlines import COMMAND_SECONDS


async def communicate(
    process: Process, given: bytes = b"", seconds: float = COMMAND_SECONDS
) -> tuple[bytes, bytes]:
    """What a process prints until its end, on standard output and standard error.

    If the process does not end within the deadline, or the caller is cancelled, it is killed.
    """
    try:
        async with asyncio.timeout(seconds):
            return await process.communicate(given if process.stdin is not None else None)
    finally:
        await end(process)


async def end(process: Process) -> None:
    """Kill a process that still runs, and close what leads to it: the loop may be closed next."""
    if process.returncode is None:
        process.kill()
    await process.communicate()
