"""An operator's word with a context's relay: look at the stream now, hold on, go on, no faster than this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import UNSET, UnsetType
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from infra.nats.connection import NatsUnavailable, publish, request, subscribe, unsubscribe

SHARE = 0.25
"""The part of a second's events that a limited relay publishes at once."""


class RelayCommand(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is left out stays as it is; a rate (events a second) holds until the backlog is published.

    `look`: the relay compares the stream with what it has published, as it otherwise does now and then.
    """

    look: bool = False
    paused: bool | UnsetType = UNSET
    rate: float | UnsetType | None = UNSET


class RelayReport(msgspec.Struct, frozen=True):
    """Where the relay stands: as far as it knows, the stream has everything up to `position` of the store."""

    position: int
    paused: bool
    rate: float | None
    refills: int
    complaint: str = ""
    """What is wrong with the stream."""


class RelayControl:
    """The relay's end: answers `svc.<context>.relay`, and holds the relay to what was wished."""

    def __init__(
        self, nats: Client, context: str, report: Callable[[], tuple[int, int, str]], wake: Callable[[], None]
    ) -> None:
        """`report` gives the relay's position, how often it has refilled the stream, and what is wrong there.

        `wake` wakes the relay.
        """
        self.paused = False
        self.rate: float | None = None
        self.asked_to_look = False
        self._wake = wake
        self._nats = nats
        self._context = context
        self._report = report
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Listen from now on, if not already; raises NatsUnavailable."""
        if self._subscription is None:
            self._subscription = await subscribe(self._nats, relay_subject(self._context), self._serve)

    async def stop(self) -> None:
        """Listen no more."""
        if self._subscription is not None:
            await unsubscribe(self._nats, self._subscription)

    def at_once(self, most: int) -> int:
        """How many events may be published at once."""
        return most if self.rate is None else max(1, min(most, int(self.rate * SHARE)))

    async def pace(self, events: int) -> None:
        """Return when so many events have been worth their time."""
        if self.rate is not None:
            await asyncio.sleep(events / self.rate)

    def caught_up(self) -> None:
        """The backlog is published: what happens now is published at once again."""
        self.rate = None

    async def _serve(self, message: Msg) -> None:
        try:
            command = msgspec.json.decode(message.data or b"{}", type=RelayCommand)
        except msgspec.DecodeError:
            return  # nobody of ours; whoever it is runs into its own time limit
        if command.paused is not UNSET:
            self.paused = command.paused
        if command.rate is not UNSET:
            self.rate = command.rate if command.rate and command.rate > 0 else None
        self.asked_to_look |= command.look
        self._wake()
        position, refills, complaint = self._report()
        if message.reply:
            report = RelayReport(position, self.paused, self.rate, refills, complaint)
            try:
                await publish(self._nats, message.reply, msgspec.json.encode(report))
            except NatsUnavailable:
                return  # it asks again


def relay_subject(context: str) -> str:
    """Where a context's relay is spoken to."""
    return f"svc.{context}.relay"


async def tell_relay(nats: Client, context: str, command: RelayCommand) -> RelayReport:
    """Tell a context's relay; raises NobodyListens if no process leads the context, and NatsUnavailable."""
    reply = await request(nats, relay_subject(context), msgspec.json.encode(command))
    return msgspec.json.decode(reply.data, type=RelayReport)
