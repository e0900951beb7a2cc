"""The `orderfold` command on the stack of the end-to-end tests."""

from __future__ import annotations

import asyncio
import os
import sys

from infra.embedded import EmbeddedStack

SECONDS = 90


async def orderfold(stack: EmbeddedStack, command: str, *arguments: str, status: int = 0) -> str:
    """Run a command, which ends with this status; what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "orderfold", command, *options(stack, command), *arguments),
        env={"PATH": os.environ["PATH"], "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        printed, problems = await process.communicate()
    assert process.returncode == status, (printed + problems).decode()
    return printed.decode()


def options(stack: EmbeddedStack, command: str) -> list[str]:
    """Which stack; a command with commands of its own takes it after those."""
    return [] if command == "keys" else ["--data", str(stack.folder.root)]
