"""The only process that uses a database leads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alone:
    """There are no other processes to wait for or to hear of."""

    def __init__(self) -> None:
        self.lost_lead = asyncio.Event()

    async def lead(self) -> None:
        """At once, and for good."""

    def hear(self, committed: Callable[[], None]) -> None:
        """Nobody else commits."""

    async def close(self) -> None:
        """Nothing is held."""
