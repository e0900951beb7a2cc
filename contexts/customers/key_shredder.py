"""Background work of customers: decrypts personal data on request, destroys keys of the forgotten."""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from contexts.customers.disclosure import REQUEST, Opened, OpenRequest
from contexts.customers.encryption import Encryption
from contexts.customers.events import CustomerForgotten
from contexts.messages import wire_name
from infra.aio import cancel_all, wait_for_event
from infra.event_store.store import EventStore, StoreUnavailable
from infra.messages.events import key_of
from infra.nats.request_reply import Impaired, RequestServer
from infra.retry import Backoff
from infra.runtime.context import RunningContext, Unavailable
from infra.vault.key_store import KeyStore

AT_ONCE = 500
LOOK_SECONDS = 10.0
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0

log = structlog.get_logger()


class DisclosureService:
    """Answers `svc.customers.open`."""

    def __init__(self, running: RunningContext, privacy: Encryption) -> None:
        self._requests = RequestServer(running.nats, "customers")
        self._encryption = privacy

    async def start(self) -> None:
        await self._requests.serve(REQUEST, self._open)

    async def stop(self) -> None:
        await self._requests.stop()

    async def _open(self, data: bytes) -> bytes:
        asked = msgspec.json.decode(data, type=OpenRequest)
        try:
            personal = await self._encryption.read(asked.customer_id, asked.encrypted)
        except Unavailable as error:
            raise Impaired(str(error)) from error
        return msgspec.json.encode(Opened(personal))


class KeyShredder:
    """Destroys the key of every customer who was forgotten, as often as it takes.

    The event comes first and the key goes after: killed in between, the next process finds the event. Each
    process looks through the whole log once, and again when the key store was exchanged: keys that came back
    with a backup of it go again.
    """

    def __init__(self, running: RunningContext, keys: KeyStore) -> None:
        self._store: EventStore = running.store
        self._keys = keys
        self._committed = asyncio.Event()
        self._interrupted = False
        """Whether keys may be destroyed of which something is still left in the key store's files."""
        self._task: asyncio.Task[None] | None = None
        self._store.on_commit(self._committed.set)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await cancel_all(self._task)

    async def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        position, exchanges = 0, self._keys.exchanges
        while True:
            self._committed.clear()
            if exchanges != self._keys.exchanges:
                position, exchanges = 0, self._keys.exchanges
            try:
                position = await self._shred(position)
                self._interrupted = False
                backoff.reset()
            except StoreUnavailable as error:
                self._interrupted = True
                log.warning("key destruction delayed", error=str(error))
                await backoff.pause()
                continue
            await wait_for_event(self._committed, LOOK_SECONDS)

    async def _shred(self, position: int) -> int:
        """Destroy what is due after a position, and return the position up to which nothing is due."""
        while True:
            head = await self._store.head()
            records = await self._store.read_log(position, AT_ONCE, names=(wire_name(CustomerForgotten),))
            if not records:
                return max(head, position)
            forgotten = [key_of(record.stream) for record in records]
            due = forgotten if self._interrupted else await self._keys.not_destroyed(forgotten)
            if due:
                await self._keys.destroy(due)
                log.info("keys of forgotten customers destroyed", customers=len(due))
            position = records[-1].position
