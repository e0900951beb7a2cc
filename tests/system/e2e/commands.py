"""The `orderfold` command on the stack of the end-to-end tests."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process

from infra.embedded.stack import EmbeddedStack
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.subprocesses import communicate


async def orderfold(
    stack: EmbeddedStack, command: str, *arguments: str, status: int = 0, given: str = ""
) -> str:
    """Run a command with this on its standard input, which ends with this status; what it printed.

    Of one that could not do what it was asked to (status 2) that is what it said of it.
    """
    process = await begin(stack, command, *arguments)
    return await ended(process, status=status, given=given)


async def begin(stack: EmbeddedStack, command: str, *arguments: str) -> Process:
    """Start a command."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "orderfold", command, *options(stack, command), *arguments),
        env={
            "PATH": os.environ["PATH"],
            "COLUMNS": "200",
            # On a slow machine projectors and rebuilds may be in each other's way for longer than 30 s.
            "ORDERFOLD_REPLAY_PATIENCE": f"{HOLDS_SECONDS:g}",
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: Process, *, status: int = 0, given: str = "") -> str:
    """What a command printed until its end."""
    printed, problems = await communicate(process, given.encode())
    assert process.returncode == status, (printed + problems).decode()
    if status == 2:
        assert not printed, printed
        return problems.decode()
    return printed.decode()


def options(stack: EmbeddedStack, command: str) -> list[str]:
    """Which stack; a command with commands of its own takes it after those."""
    if command == "keys":
        return []
    # A slow machine may need long until its read models have caught up.
    patience = ["--wait", f"{HOLDS_SECONDS:g}"] if command == "verify" else []
    return ["--data", str(stack.folder.root), *patience]
