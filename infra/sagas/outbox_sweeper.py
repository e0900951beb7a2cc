"""Finds commands that nobody sends: an uncertain commit left them, or another process put them back."""

from __future__ import annotations

import asyncio

import structlog

from infra.aio import cancel_all
from infra.event_store.store import EventStore
from infra.sagas.dispatcher import Dispatcher
from infra.sagas.outbox import OUTBOX

LOOK_EVERY = 10.0
"""Seconds between two looks."""

log = structlog.get_logger(__name__)


class OutboxSweeper:
    """Looks into the outbox now and then; what lies there unsent twice in a row goes to the dispatcher."""

    def __init__(self, store: EventStore, dispatcher: Dispatcher, *, look_every: float = LOOK_EVERY) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._look_every = look_every
        self._unsent: set[str] = set()
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._looking = asyncio.create_task(self._look_for_ever())

    async def stop(self) -> None:
        """Look no more."""
        await cancel_all(self._looking)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._look_every)
            try:
                await self._look()
            except Exception:
                log.exception("outbox not readable, retrying")

    async def _look(self) -> None:
        """Once is not enough: a command may have been settled while the outbox was read."""
        outbox = await self._store.notes(OUTBOX)
        unsent = {command_id for command_id in outbox if not self._dispatcher.has(command_id)}
        left = unsent & self._unsent
        if left:
            log.warning("resending commands left in the outbox", commands=len(left))
            self._dispatcher.send_notes(outbox[command_id] for command_id in left)
        self._unsent = unsent - left
