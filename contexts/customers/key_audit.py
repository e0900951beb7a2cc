"""Looks whether customers' data can be opened: before the first command is served, and again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from contexts.customers.events import AddressChanged, CustomerRegistered, EmailChanged
from contexts.customers.key_health import REQUEST, KeyHealth
from contexts.messages import wire_name
from infra.aio import cancel_all
from infra.event_store.store import EventStore, StoreUnavailable
from infra.messages.events import Recorded, key_of
from infra.nats.request_reply import RequestServer
from infra.runtime.context import RunningContext, StartRefused
from infra.settings import SettingsInvalid
from infra.vault.encryption import DecryptionFailed
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import MasterKeyUnknown

ENCRYPTING = tuple(wire_name(kind) for kind in (CustomerRegistered, EmailChanged, AddressChanged))
AT_ONCE = 500
LOOK_SECONDS = 10.0
MOST_NAMED = 5

GIVE_UP = "give these customers' data up with `orderfold keys new --lose-customers NUMBER`"

log = structlog.get_logger()


class _Personal(msgspec.Struct):
    """An event's personal data: text if they are encrypted."""

    personal: object = None


def encrypted_in(records: Sequence[Recorded]) -> list[str]:
    """The customers whose data some events hold encrypted."""
    return [
        key_of(record.stream)
        for record in records
        if isinstance(msgspec.json.decode(record.data, type=_Personal).personal, str)
    ]


async def check_keys(store: EventStore, keys: KeyStore) -> None:
    """Return if the data of customers can be opened, as far as a look at the key store tells.

    Raises StartRefused, which says what is missing and what to do, and StoreUnavailable.
    """
    try:
        empty = await keys.is_empty()
        if not empty:
            await keys.check()
    except (MasterKeyUnknown, DecryptionFailed, SettingsInvalid) as error:
        raise StartRefused(f"{error}, or {GIVE_UP}") from error
    position = 0
    while empty:
        records = await store.read_log(position, AT_ONCE, names=ENCRYPTING)
        if not records:
            return
        if encrypted_in(records):
            raise StartRefused(
                "customers' data are encrypted, but the key store has no key: restore it from its backup, "
                f"or {GIVE_UP}"
            )
        position = records[-1].position


class KeyAudit:
    """Keeps an eye on the keys while customers works, and answers `svc.customers.keys`."""

    def __init__(self, running: RunningContext, keys: KeyStore) -> None:
        self._requests = RequestServer(running.nats, "customers")
        self._store = running.store
        self._keys = keys
        self._position = 0
        self._missing: set[str] = set()
        self._health = KeyHealth()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._requests.serve(REQUEST, self._answer)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await self._requests.stop()
        await cancel_all(self._task)

    async def _answer(self, _: bytes) -> bytes:
        return msgspec.json.encode(self._health)

    async def _run(self) -> None:
        while True:
            found = await self._look()
            if found.problem and found != self._health:
                log.error("customers' data cannot be opened", problem=found.problem)
            self._health = found
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> KeyHealth:
        try:
            await self._keys.check()
            missing = sorted(await self._look_for_missing())
        except (MasterKeyUnknown, DecryptionFailed, SettingsInvalid, StoreUnavailable) as error:
            return KeyHealth(str(error), lasting=True)
        if not missing:
            return KeyHealth()
        names = ", ".join(missing[:MOST_NAMED]) + (", …" if len(missing) > MOST_NAMED else "")
        return KeyHealth(
            f"the key store has no key of {len(missing):,} customers ({names}), whose data cannot be read: "
            f"restore a newer backup of it, or {GIVE_UP.replace('NUMBER', str(len(missing)))}"
        )

    async def _look_for_missing(self) -> set[str]:
        """Customers whose data are encrypted, and who have no key, not even a destroyed one."""
        self._missing = set(await self._keys.without_key(sorted(self._missing)))
        while records := await self._store.read_log(self._position, AT_ONCE, names=ENCRYPTING):
            subjects = list(dict.fromkeys(encrypted_in(records)))
            self._missing.update(await self._keys.without_key(subjects))
            self._position = records[-1].position
        return self._missing
