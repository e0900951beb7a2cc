"""A context's alarm clock: it rings when a timer is due, also after a restart.

A timer can be lost like any message of JetStream. The context keeps its outstanding timers in its own store
and sets them again at its start and whenever the clock was lost; a late or repeated ring changes nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.aio import wait_for_event
from infra.nats.connection import NatsUnavailable, publish, request
from infra.nats.jetstream import (
    JetStreamRefused,
    PubAck,
    StreamInfo,
    answer,
    ask,
    delete_stream_named,
    deviations,
    ensure_consumer,
    purge,
    stream_info,
)
from infra.nats.pull_consumer import Pull
from infra.observability.metrics.registry import TIMERS_FIRED, TIMERS_SET
from infra.retry import Backoff

DURABLE = "alarm"
KEPT = "24h"
"""How long a ring waits for somebody to listen."""
RETRY_NANOSECONDS = 2 * 10**9
AHEAD = 500
TICK_SECONDS = 1.0
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
LOOK_SECONDS = 30.0
"""How often to look whether the clock still has its form."""
AT_ONCE = 16
"""Rings answered at the same time."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:@-]{0,199}")

log = structlog.get_logger()

Ring = Callable[[str, bytes], Awaitable[None]]
Restore = Callable[[], Awaitable[None]]


class Timers:
    """The timers of one context. Setting one again replaces it; one of the past rings at once."""

    def __init__(
        self, nats: Client, context: str, *, stream_replicas: int = 1, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._nats = nats
        self._look_seconds = look_seconds
        self._stream_replicas = stream_replicas
        self._context = context
        self._stream = f"TIMERS_{context}"
        self._set = TIMERS_SET.labels(context)
        self._fired = TIMERS_FIRED.labels(context)

    async def ensure(self) -> str:
        """Make the clock if there is none; when it was made tells whether it is still the same.

        One of another form might not ring: it is made anew, and every outstanding timer is set again.
        """
        configuration = self._configuration()
        info = await stream_info(self._nats, self._stream)
        if info is not None and (wrong := deviations(info.config, configuration)):
            log.error("timer stream configuration differs, recreating it", stream=self._stream, wrong=wrong)
            await delete_stream_named(self._nats, self._stream)
            info = None
        if info is None:
            info = await ask(self._nats, f"STREAM.CREATE.{self._stream}", StreamInfo, configuration)
        return info.created

    def _configuration(self) -> dict[str, Any]:
        return {
            "name": self._stream,
            "subjects": [f"timer.{self._context}.>", f"due.{self._context}.>"],
            "storage": "file",
            "num_replicas": self._stream_replicas,
            "retention": "limits",
            "allow_msg_schedules": True,
            "allow_msg_ttl": True,
        }

    async def set(self, timer_id: str, due: datetime, payload: bytes) -> None:
        """Ring at `due` (accurate to some milliseconds); raises NatsUnavailable, JetStreamRefused."""
        self._check(timer_id)
        subject = f"timer.{self._context}.{timer_id}"
        moment = due.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers = {
            "Nats-Schedule": f"@at {moment}",
            "Nats-Schedule-Target": f"due.{self._context}.{timer_id}",
            "Nats-Schedule-TTL": KEPT,
        }
        reply = await request(self._nats, subject, payload, headers=headers)
        answer(subject, reply.data, PubAck)
        self._set.inc()

    async def cancel(self, timer_id: str) -> None:
        """Do not ring; one that is on its way may still do."""
        self._check(timer_id)
        await purge(self._nats, self._stream, f"timer.{self._context}.{timer_id}")

    async def listen(self, ring: Ring, restore: Restore | None = None) -> None:
        """Call `ring(timer_id, payload)` for each timer due, until cancelled.

        If `ring` raises, the timer rings again after 2 s. `restore` is called whenever the clock is found new
        (at the start, and when JetStream lost it): then every outstanding timer must be set again. What it
        raises ends this, unless it is that NATS cannot be reached.
        """
        backoff = Backoff(SHORTEST_PAUSE, LONGEST_PAUSE)
        known = ""
        while True:
            try:
                created = await self.ensure()
                if created != known and restore is not None:
                    await restore()
                known = created
                await ensure_consumer(
                    self._nats, self._stream, DURABLE, [f"due.{self._context}.>"], explicit=True
                )
                await self._answer(ring)
                backoff.reset()
            except (NatsUnavailable, JetStreamRefused) as error:
                log.warning("timers wait", context=self._context, error=str(error))
            await backoff.pause()

    async def _answer(self, ring: Ring) -> None:
        """Answer rings until the consumer must be looked at anew."""
        wake = asyncio.Event()
        pull = Pull(self._nats, self._stream, DURABLE, wake.set)
        await pull.start()
        try:
            loop = asyncio.get_running_loop()
            looked = loop.time()
            while not pull.check():
                if loop.time() - looked >= self._look_seconds:
                    looked = loop.time()
                    info = await stream_info(self._nats, self._stream)
                    if info is None or deviations(info.config, self._configuration()):
                        return
                wake.clear()
                messages = pull.take()
                for begin in range(0, len(messages), AT_ONCE):
                    await asyncio.gather(
                        *(self._ring(message, ring) for message in messages[begin : begin + AT_ONCE])
                    )
                await pull.ask(AHEAD)
                await wait_for_event(wake, TICK_SECONDS)
        finally:
            await pull.stop()

    async def _ring(self, message: Msg, ring: Ring) -> None:
        timer_id = message.subject.split(".", 2)[2]
        outcome = b"+ACK"
        self._fired.inc()
        try:
            await ring(timer_id, message.data)
        except Exception:
            log.exception("timer failed, it is redelivered", context=self._context, timer=timer_id)
            outcome = b'-NAK {"delay": %d}' % RETRY_NANOSECONDS
        await publish(self._nats, message.reply, outcome)

    def _check(self, timer_id: str) -> None:
        if not _ID.fullmatch(timer_id):
            raise ValueError(f"{timer_id!r} is no timer's id: letters, digits, _ : @ and - are")
