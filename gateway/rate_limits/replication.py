"""Gateways tell each other what they let through, so that a client's limit is one for all of them.

Each counts by itself and tells the others a tenth of a second later: no request waits for that. Within that
time several gateways together may let more through; it is taken off what the client has afterwards. While
NATS is away, each gateway grants the whole limit.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta
from nats.aio.msg import Msg

from gateway.context_client import NatsLink
from gateway.ids import new_id
from gateway.rate_limits.quota import LONGEST_NAME, MOST_TOLD, Limits, RouteClass
from infra.nats.connection import NatsUnavailable, publish

SUBJECT = "limits.gateway"
SECONDS = 0.1

log = structlog.get_logger(__name__)


Client = Annotated[str, Meta(max_length=LONGEST_NAME)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class Counted(msgspec.Struct, frozen=True):
    """What one gateway let through, by class and client."""

    gateway: str
    counts: dict[RouteClass, Annotated[dict[Client, Count], Meta(max_length=MOST_TOLD)]]


encode = msgspec.json.Encoder().encode
DECODER = msgspec.json.Decoder(Counted)


class LimitExchange:
    """Tells, and receives."""

    def __init__(self, limits: Limits, link: NatsLink) -> None:
        self._limits = limits
        self._link = link
        self._name = new_id()
        link.hear(SUBJECT, self._hear)

    async def run(self) -> None:
        """Tell what was counted, for ever."""
        while True:
            await asyncio.sleep(SECONDS)
            counts = {name: told for name, limit in self._limits.items() if (told := limit.untold())}
            nats = self._link.client
            if not counts or nats is None:
                continue
            try:
                await publish(nats, SUBJECT, encode(Counted(self._name, counts)))
            except NatsUnavailable as error:
                log.debug("request counts not published", error=str(error))

    async def _hear(self, message: Msg) -> None:
        try:
            counted = DECODER.decode(message.data)
        except msgspec.MsgspecError as error:
            log.warning("invalid request counts from another gateway", error=str(error))
            return
        if counted.gateway == self._name:
            return
        for name, counts in counted.counts.items():
            limit = self._limits.get(name)
            if limit is not None:
                limit.hear(counts)
