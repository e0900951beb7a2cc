"""Messages of a durable JetStream consumer, asked for ahead of need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from infra.nats.connection import publish, subscribe, unsubscribe

BATCH = 500
EXPIRES_SECONDS = 30
HEARTBEAT_SECONDS = 5
SILENCE_SECONDS = 2 * HEARTBEAT_SECONDS + 1


class Pull:
    """One inbox for one consumer. When `broken` says why, nothing more comes: make another."""

    def __init__(self, nats: Client, stream: str, durable: str, arrived: Callable[[], None]) -> None:
        """`arrived` is called whenever there is something to take, or something broke."""
        self.broken = ""
        self._nats = nats
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._arrived = arrived
        self._inbox = nats.new_inbox()
        self._subscription: Subscription | None = None
        self._messages: list[Msg] = []
        self._open = 0
        self._heard = 0.0
        self._reconnects = nats.stats["reconnects"]

    async def start(self) -> None:
        """Open the inbox; raises NatsUnavailable."""
        self._heard = asyncio.get_running_loop().time()
        self._subscription = await subscribe(self._nats, self._inbox, self._take_in)

    async def stop(self) -> None:
        """Close the inbox; what the server still sends there is lost."""
        if self._subscription is not None:
            await unsubscribe(self._nats, self._subscription)

    async def ask(self, room: int) -> None:
        """Ask for more when half of what was asked for has come, for no more than there is room for."""
        missing = min(BATCH, room) - self._open
        if missing < BATCH // 2:
            return
        self._open += missing
        wanted = {
            "batch": missing,
            "expires": EXPIRES_SECONDS * 10**9,
            "idle_heartbeat": HEARTBEAT_SECONDS * 10**9,
        }
        await publish(self._nats, self._subject, msgspec.json.encode(wanted), reply=self._inbox)

    def take(self) -> list[Msg]:
        """What has come since the last time."""
        messages, self._messages = self._messages, []
        return messages

    def check(self) -> str:
        """Why nothing more will come here; empty as long as all is well."""
        if not self.broken and self._nats.stats["reconnects"] != self._reconnects:
            self.broken = "the connection was lost"
        silence = asyncio.get_running_loop().time() - self._heard
        if not self.broken and self._open > 0 and silence > SILENCE_SECONDS:
            self.broken = "no heartbeat"
        return self.broken

    async def _take_in(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if message.reply:
            self._open -= 1
            self._messages.append(message)
        else:
            self._read_status(message.headers or {})
        if self._messages or self.broken:
            self._arrived()

    def _read_status(self, headers: dict[str, str]) -> None:
        match headers.get("Status"):
            case "100":
                return
            case "404" | "408":
                # A request ended; what it had not got will not come.
                self._open -= int(headers.get("Nats-Pending-Messages", "0"))
                self._arrived()
            case status:
                self.broken = f"{status} {headers.get('Description', '')}".strip()


def stream_sequence(reply: str) -> int:
    """The stream sequence a delivered message's reply subject tells."""
    tokens = reply.split(".")
    return int(tokens[5] if len(tokens) == 9 else tokens[7])
