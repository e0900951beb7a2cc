"""Turns of replays that one process works on: so many at once, the others one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

POLL_SECONDS = 0.1


class Turns:
    """Lets so many work at once, in the order in which they lined up or asked."""

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._waiting: dict[str, None] = {}
        self._working: set[str] = set()

    def line_up(self, name: str) -> None:
        """Have a place in the line before there is time to ask."""
        self._waiting.setdefault(name)

    def ask(self, name: str) -> bool:
        """Whether it is this one's turn, from now on until it leaves; ask again if it is not."""
        if name in self._working:
            return True
        self._waiting.setdefault(name)
        if len(self._working) >= self._at_once or next(iter(self._waiting)) != name:
            return False
        del self._waiting[name]
        self._working.add(name)
        return True

    def leave(self, name: str) -> None:
        """Let the next one work."""
        self._waiting.pop(name, None)
        self._working.discard(name)

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Something to do in a turn, as soon as it comes."""
        try:
            while not self.ask(name):  # noqa: ASYNC110 - several may ask, one is let in
                await asyncio.sleep(POLL_SECONDS)
            yield
        finally:
            self.leave(name)
