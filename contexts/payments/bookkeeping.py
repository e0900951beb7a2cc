"""What works beside payments: showing the provider's books, and comparing them with the payments' streams."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from nats.aio.client import Client

from contexts.messages import OrderId, wire_name
from contexts.payments.books import REQUEST, Books, BooksRequest
from contexts.payments.commands import CheckPayment
from contexts.payments.decider import Payment
from contexts.payments.events import PaymentAuthorized, PaymentCaptured
from contexts.payments.provider import Missing, Provider
from contexts.payments.provider_payment import PaymentPage, ProviderPayment
from contexts.payments.reconciliation import Kind, differences
from infra.aio import cancel_all
from infra.event_store.store import EventStore, StoreUnavailable
from infra.messages.commands import Envelope
from infra.messages.events import key_of
from infra.nats.request_reply import RequestServer
from infra.observability.logging.redaction import described
from infra.observability.metrics.instruments import books_compared
from infra.runtime.command_client import CommandClient
from infra.runtime.context import Unavailable
from infra.runtime.stream_cache import Streams
from infra.settings import Settings

ACTOR = "payments-bookkeeping"

OVERLAP = 60.0
"""Seconds: clocks differ, and what changed while the books were read is read again."""

PAGE = 1_000

CHECK_SECONDS = 30

Check = Callable[[OrderId], Awaitable[None]]

log = structlog.get_logger(__name__)


class OpenBooks:
    """Answers `svc.payments.books`."""

    def __init__(self, nats: Client, provider: Provider) -> None:
        self._requests = RequestServer(nats, "payments")
        self._provider = provider

    async def start(self) -> None:
        """Answer from now on."""
        await self._requests.serve(REQUEST, self._show)

    async def stop(self) -> None:
        """Answer no more."""
        await self._requests.stop()

    async def _show(self, data: bytes) -> bytes:
        asked = msgspec.json.decode(data, type=BooksRequest)
        try:
            if asked.order_id is None:
                page = await self._provider.changed_since(asked.since, asked.after)
            else:
                provider_payment = await self._provider.payment(asked.order_id)
                page = PaymentPage(() if isinstance(provider_payment, Missing) else (provider_payment,))
        except Unavailable as error:
            return msgspec.json.encode(Books(problem=str(error)))
        return msgspec.json.encode(Books(page))


class Bookkeeping:
    """Compares, every so often, what changed at the provider or here since the last time.

    A payment that differs is checked first, as if a webhook had told of it: what a lost webhook would have
    told is made up for. What differs after that is counted, and compared again each time.
    """

    def __init__(
        self, store: EventStore, streams: Streams, provider: Provider, settings: Settings, check: Check
    ) -> None:
        """`check` has a payment checked."""
        self._store = store
        self._streams = streams
        self._provider = provider
        self._check = check
        self._every = settings.reconcile_every
        self._since = time.time() - settings.reconcile_window
        self._position = 0
        self._differing: dict[OrderId, frozenset[Kind]] = {}
        self._working: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; the first comparison comes after the first pause."""
        if self._every:
            # Until the first comparison: how long there has been none is told from here on.
            books_compared({kind.value: 0 for kind in Kind}, time.time())
            self._working = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End at once."""
        await cancel_all(self._working)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.compare()
            except (Unavailable, StoreUnavailable) as error:
                log.warning("payment comparison failed", error=described(error))
            except Exception:
                log.exception("payment comparison failed")

    async def compare(self) -> None:
        """Compare once; raises Unavailable and StoreUnavailable."""
        begun = time.time()
        compared: set[OrderId] = set()
        suspects: set[OrderId] = set(self._differing)
        async for provider_payment in self._changed_there():
            compared.add(provider_payment.order_id)
            if differences(await self._payment(provider_payment.order_id), provider_payment):
                suspects.add(provider_payment.order_id)
        head = await self._store.head()
        suspects |= await self._changed_here(head) - compared
        self._differing = {
            order_id: kinds for order_id in sorted(suspects) if (kinds := await self._settle(order_id))
        }
        self._since, self._position = begun - OVERLAP, head
        counts = Counter(kind for kinds in self._differing.values() for kind in kinds)
        books_compared({kind.value: counts[kind] for kind in Kind}, begun)
        for order_id, kinds in self._differing.items():
            log.error("payments differ from the provider's records", order_id=order_id, kinds=sorted(kinds))

    async def _changed_there(self) -> AsyncIterator[ProviderPayment]:
        after: str | None = None
        while True:
            page = await self._provider.changed_since(self._since, after)
            for provider_payment in page.payments:
                yield provider_payment
            if page.next is None:
                return
            after = page.next

    async def _changed_here(self, head: int) -> set[OrderId]:
        """The orders whose payments the provider should have money of, changed since the last time."""
        found: set[OrderId] = set()
        position = self._position
        names = [wire_name(PaymentAuthorized), wire_name(PaymentCaptured)]
        since = datetime.fromtimestamp(self._since, UTC)
        while position < head:
            records = await self._store.read_log(position, PAGE, names=names, since=since)
            found |= {key_of(record.stream) for record in records}
            if len(records) < PAGE:
                return found
            position = records[-1].position
        return found

    async def _payment(self, order_id: OrderId) -> Payment:
        folded = await self._streams.load(f"payment-{order_id}", fresh=self._store.shared)
        payment: Payment = folded.state
        return payment

    async def _settle(self, order_id: OrderId) -> frozenset[Kind]:
        """What differs still after the payment was checked."""
        if await self._differs(order_id):
            await self._check(order_id)
            return await self._differs(order_id)
        return frozenset()

    async def _differs(self, order_id: OrderId) -> frozenset[Kind]:
        provider_payment = await self._provider.payment(order_id)
        known = None if isinstance(provider_payment, Missing) else provider_payment
        return differences(await self._payment(order_id), known)


def checking(commands: CommandClient) -> Check:
    """Has a payment checked by whichever process serves payments."""

    async def check(order_id: OrderId) -> None:
        now = datetime.now(UTC)
        command_id = f"bookkeeping:{order_id}:{now.timestamp():.3f}"
        envelope = Envelope(
            command_id=command_id,
            correlation_id=order_id,
            causation_id=command_id,
            actor=ACTOR,
            time=now,
            deadline=now + timedelta(seconds=CHECK_SECONDS),
        )
        body = msgspec.json.encode(CheckPayment(order_id=order_id))
        answer = await commands.send("payments", "CheckPayment", body, envelope)
        log.info("payment checked", order_id=order_id, answer=type(answer).__name__)

    return check
