"""Sends commands and waits for their answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import nats.errors
from nats.aio.client import Client

from infra.aio import keeping_cancellation
from infra.messages.command_headers import command_subject, decode_answer, to_headers
from infra.messages.commands import Answer, Envelope, RefusalKind, Refused
from infra.observability import tracing
from infra.retry import Backoff

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
LAST_WORD_SECONDS = 0.5
"""How long after the deadline an answer is still waited for: that it has passed is said at that moment."""


class CommandClient:
    """Sends commands over one NATS connection."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats

    async def send(self, context: str, name: str, body: bytes, envelope: Envelope) -> Answer:
        """Send a command (`name` without its context) and return its answer; trouble is a refusal, too.

        Nobody there, or no connection, is tried again with backoff until the deadline. No answer by then is
        UNAVAILABLE: it may have been carried out, which sending it again with the same id finds out.
        """
        with tracing.sending(context, name, envelope) as span:
            answer = await self._send(context, name, body, envelope, span.carry(to_headers(envelope)))
            tracing.answered(span, answer)
        return answer

    async def _send(
        self, context: str, name: str, body: bytes, envelope: Envelope, headers: dict[str, str]
    ) -> Answer:
        subject = command_subject(context, name)
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            left = (envelope.deadline - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return Refused(RefusalKind.UNAVAILABLE, f"{context} did not answer in time")
            try:
                with keeping_cancellation():
                    reply = await self._nats.request(
                        subject, body, timeout=left + LAST_WORD_SECONDS, headers=headers
                    )
                return decode_answer(reply.data)
            except (nats.errors.NoRespondersError, nats.errors.OutboundBufferLimitError):
                # Nobody there, or we are reconnecting: it was not sent, so it can be sent again.
                await asyncio.sleep(min(backoff.take(), left))
            except (nats.errors.TimeoutError, TimeoutError):
                return Refused(RefusalKind.UNAVAILABLE, f"{context} did not answer in time")
            except nats.errors.MaxPayloadError:
                return Refused(RefusalKind.INVALID, "the command is larger than a message may be")
            except nats.errors.Error as error:
                return Refused(RefusalKind.UNAVAILABLE, f"{context} cannot be reached: {error!r}")
