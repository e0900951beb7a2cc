"""Publishing a context's log again: its relay fills JetStream from the store, and is watched until it has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec
from msgspec import UNSET, UnsetType
from nats.aio.client import Client

from infra.event_log.client import LogClient
from infra.event_log.relay_control import RelayCommand, RelayReport, tell_relay
from infra.event_log.stream_audit import stream_contents
from infra.nats.connection import NatsUnavailable, NobodyListens
from infra.nats.jetstream import delete_stream, last_message, stream_name
from read_models.replay.errors import ReplayFailed

LOOK_SECONDS = 0.2
STANDSTILL_SECONDS = 60.0
"""How long nothing may be published before it is given up; the relay itself never gives up."""

Tell = Callable[[int, int], None]
"""Is given how far the stream has come, and where the store's log ends."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """How a context's stream stands against its store."""

    context: str
    head: int
    position: int
    messages: int
    holes: int
    paused: bool
    rate: float | None
    complaint: str = ""
    """What is wrong with the stream's form, as the relay sees it."""

    @property
    def whole(self) -> bool:
        """Whether the stream has everything the store had when the question was asked, in the right form."""
        return self.position >= self.head and not self.holes and not self.complaint


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What of an operator's control there was to undo, and how the stream stands now."""

    was_paused: bool
    was_limited_to: float | None
    published: Published

    @property
    def undone(self) -> bool:
        """Whether there was anything."""
        return self.was_paused or self.was_limited_to is not None


class Publication:
    """A context's log and its relay. The relay alone writes; whoever asks it twice gets the same stream."""

    def __init__(self, nats: Client, log: LogClient, context: str) -> None:
        self._nats = nats
        self._log = log
        self._context = context

    async def look(self, *, paused: bool | UnsetType = UNSET) -> Published:
        """How it stands, after having the relay look, too. Raises ReplayFailed if no process leads."""
        report = await self._tell(RelayCommand(look=True, paused=paused))
        return await self._published(await self._head(), report)

    async def cancel(self) -> Cancelled:
        """Undo pause and rate, whoever asked for them: the relay goes on by itself. Raises ReplayFailed.

        A log half published would be of no use to anybody, so what is missing is published all the same.
        """
        before = await self._tell(RelayCommand())
        now = await self._tell(RelayCommand(look=True, paused=False, rate=None))
        return Cancelled(
            was_paused=before.paused,
            was_limited_to=before.rate,
            published=await self._published(await self._head(), now),
        )

    async def begin_anew(self) -> None:
        """Delete the stream, once the relay that fills it is known to listen."""
        await self.look()
        await delete_stream(self._nats, self._context)

    async def begin(self, rate: float | UnsetType) -> Published:
        """Have the relay work, and leave it to it."""
        report = await tell_relay(self._nats, self._context, RelayCommand(look=True, rate=rate))
        return await self._published(await self._head(), report)

    async def complete(self, rate: float | UnsetType, tell: Tell) -> Published:
        """Return when the stream has come to where the log ends now, or is paused; raises ReplayFailed.

        `rate` limits the relay (events a second) until it is there.
        """
        head = await self._head()
        command = RelayCommand(look=True, rate=rate)
        loop = asyncio.get_running_loop()
        furthest, moved = -1, loop.time()
        while True:
            # Servers may come and go meanwhile: only a standstill ends this.
            with contextlib.suppress(NatsUnavailable):
                report = await tell_relay(self._nats, self._context, command)
                command = RelayCommand()
                last = await last_message(self._nats, stream_name(self._context), f"ev.{self._context}.>")
                position = last.position if last is not None else 0
                tell(min(position, head), head)
                if report.paused or position >= head:
                    return await self._published(head, report)
                if position != furthest:
                    furthest, moved = position, loop.time()
            if loop.time() - moved > STANDSTILL_SECONDS:
                raise ReplayFailed(
                    f"nothing of {self._context} was published for {STANDSTILL_SECONDS:g} s; "
                    "the log of its process says why"
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell(self, command: RelayCommand) -> RelayReport:
        try:
            return await tell_relay(self._nats, self._context, command)
        except NobodyListens:
            raise ReplayFailed(
                f"no process leads {self._context}, so nobody publishes its log; "
                "is `python -m contexts` running?"
            ) from None

    async def _head(self) -> int:
        return max(await self._log.heads(self._context))

    async def _published(self, head: int, report: RelayReport) -> Published:
        state = await stream_contents(self._nats, self._context)
        return Published(
            context=self._context,
            head=head,
            position=state.position,
            messages=state.messages,
            holes=state.holes,
            paused=report.paused,
            rate=report.rate,
            complaint=report.complaint,
        )
