"""The gateway's way to the contexts: a NATS connection, made as soon as there is a server, and again."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from contexts.customers.disclosure import REQUEST as OPEN
from contexts.customers.disclosure import disclose
from contexts.customers.key_health import REQUEST as KEYS
from contexts.customers.key_health import KeyHealth, key_health
from contexts.customers.personal_data import PersonalData
from gateway.problems import UNAVAILABLE, Problem
from infra.event_log.server import LogClient
from infra.messages.commands import Answer, Envelope
from infra.nats.connection import NatsUnavailable, connect, subscribe
from infra.nats.credentials import check_credentials
from infra.nats.health import Connections
from infra.retry import retry
from infra.runtime.command_client import CommandClient
from infra.settings import Settings

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
LOG_SECONDS = 5.0

ASKS = (("customers", OPEN), ("customers", KEYS))
"""The questions it puts to contexts beside those about their logs; its NATS user may put no others."""

log = structlog.get_logger(__name__)


class NatsLink:
    """One connection for commands and questions; while there is none, both are refused at once."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsInvalid if there is a NATS user that cannot be used."""
        check_credentials(settings)
        self.connections = Connections("gateway")
        self._settings = settings
        self._nats: Client | None = None
        self._commands: CommandClient | None = None
        self._logs: LogClient | None = None
        self._heard: dict[str, Callable[[Msg], Awaitable[None]]] = {}

    @property
    def connected(self) -> bool:
        """Whether NATS can be reached at this moment."""
        return self._nats is not None and self._nats.is_connected

    @property
    def client(self) -> Client | None:
        """The connection; None while there is none."""
        return self._nats if self.connected else None

    @property
    def logs(self) -> LogClient:
        """Reads the contexts' logs; raises a Problem while there is no connection."""
        if self._logs is None or not self.connected:
            raise away()
        return self._logs

    async def send(self, context: str, name: str, body: bytes, envelope: Envelope) -> Answer:
        """Send a command; raises a Problem while there is no connection yet."""
        if self._commands is None:
            raise away()
        return await self._commands.send(context, name, body, envelope)

    async def disclose(self, customer_id: str, encrypted: str) -> PersonalData | None:
        """What is encrypted about a customer, None if forgotten; raises a Problem or ContextUnavailable."""
        if self._nats is None or not self.connected:
            raise away()
        return await disclose(self._nats, customer_id, encrypted)

    async def key_health(self) -> KeyHealth:
        """How customers' keys are; raises a Problem or ContextUnavailable."""
        if self._nats is None or not self.connected:
            raise away()
        return await key_health(self._nats)

    def hear(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> None:
        """Have `heard` called for every message there, on every connection made from now on."""
        self._heard[subject] = heard

    async def run(self) -> None:
        """Connect, and again whenever the connection ended for good; never returns."""
        while True:
            ended = asyncio.Event()
            nats = await retry(
                functools.partial(self._connected, ended),
                NatsUnavailable,
                first=FIRST_PAUSE,
                longest=LONGEST_PAUSE,
                report=lambda error: log.warning("waiting for nats", error=str(error)),
            )
            self._nats = nats
            self.connections.connected("gateway", nats)
            self._commands = CommandClient(nats)
            self._logs = LogClient(nats, timeout=LOG_SECONDS)
            log.info("nats connected")
            await ended.wait()
            await asyncio.sleep(FIRST_PAUSE)

    async def _connected(self, ended: asyncio.Event) -> Client:
        nats = await connect(self._settings, "gateway", on_closed=ended.set)
        for subject, heard in self._heard.items():
            await subscribe(nats, subject, heard)
        return nats

    async def close(self) -> None:
        """End the connection."""
        if self._nats is not None:
            await self._nats.close()


def away() -> Problem:
    return Problem(UNAVAILABLE, "NATS cannot be reached at the moment")
