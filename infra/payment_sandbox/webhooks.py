"""What the provider does by itself: it decides pending payments when they are due, and sends webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import structlog

from infra.aio import wait_for_event
from infra.payment_sandbox.ledger import DueWebhook, Ledger
from infra.payment_sandbox.provider import SandboxProvider
from infra.security.webhook_signature import sign

AT_ONCE = 16
"""Webhooks under way at a time."""

ATTEMPTS = 60
"""After so many a webhook is given up: about ten minutes."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between attempts; each pause is twice the one before."""

SEND_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Afterwards:
    """Runs beside the HTTP service; what it has to do stands in the ledger, so a restart forgets nothing."""

    def __init__(
        self,
        provider: SandboxProvider,
        ledger: Ledger,
        url: str,
        secret: bytes,
        clock: Callable[[], float],
    ) -> None:
        """`url` is where webhooks go, `secret` what they are signed with."""
        self._provider = provider
        self._ledger = ledger
        self._url = url
        self._secret = secret
        self._clock = clock
        self._pending = asyncio.Event()
        self._webhooks = asyncio.Event()

    def wake(self) -> None:
        """A payment is pending: it may be due earlier than what was known."""
        self._pending.set()

    def tell(self) -> None:
        """A webhook is to be sent."""
        self._webhooks.set()

    def decide(self) -> None:
        """Decide what is due."""
        if self._provider.approve_due():
            self._webhooks.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._decide())
            tasks.create_task(self._tell())

    async def _decide(self) -> None:
        while True:
            self._pending.clear()
            self.decide()
            await self._until(self._ledger.next_decision(), self._pending)

    async def _tell(self) -> None:
        async with httpx.AsyncClient(timeout=SEND_SECONDS) as client:
            while True:
                self._webhooks.clear()
                due = self._ledger.webhooks(self._clock(), AT_ONCE)
                await asyncio.gather(*(self._send(client, webhook) for webhook in due))
                await self._until(self._ledger.next_webhook(), self._webhooks)

    async def _until(self, due: float | None, woken: asyncio.Event) -> None:
        wait = None if due is None else max(0.0, due - self._clock())
        await wait_for_event(woken, wait)

    async def _send(self, client: httpx.AsyncClient, webhook: DueWebhook) -> None:
        # The second copy of a webhook has the id of the first.
        webhook_id = webhook.id.partition("#")[0]
        headers = sign(self._secret, webhook_id, datetime.now(UTC), webhook.body)
        headers["content-type"] = "application/json"
        try:
            answer = await client.post(self._url, content=webhook.body, headers=headers)
            problem = "" if answer.is_success else f"status {answer.status_code}"
        except httpx.HTTPError as error:
            problem = repr(error)
        if not problem:
            self._ledger.end_webhook(webhook.id)
        elif webhook.attempts + 1 >= ATTEMPTS:
            log.error("webhook abandoned", webhook=webhook.id, problem=problem)
            self._ledger.end_webhook(webhook.id)
        else:
            log.info("webhook not accepted", webhook=webhook.id, problem=problem)
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**webhook.attempts)
            self._ledger.postpone_webhook(webhook.id, self._clock() + pause)
