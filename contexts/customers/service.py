"""Carries out the commands of customers: one stream, one decision, nothing personal stored but encrypted."""

from __future__ import annotations

from collections.abc import Sequence

from contexts.customers.commands import CustomersCommand, ForgetCustomer
from contexts.customers.decider import Locked, decide, evolve
from contexts.customers.disclosure import REQUEST as OPEN
from contexts.customers.encryption import Encryption
from contexts.customers.events import CustomersEvent
from contexts.customers.key_audit import KeyAudit, check_keys
from contexts.customers.key_health import REQUEST as KEYS
from contexts.customers.key_shredder import DisclosureService, KeyShredder
from infra.event_store.store import EventStore
from infra.runtime.context import BackgroundWorker, Context, RunningContext, Session
from infra.settings import Settings
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import MasterKeySource


def stream_of(command: CustomersCommand) -> str:
    """The stream a command is about."""
    return f"customer-{command.customer_id}"


def customers(keys: KeyStore) -> Context:
    """The context, with the keys of its customers."""
    encryption = Encryption(keys)

    async def handle(session: Session, command: CustomersCommand) -> None:
        """Load, open, decide, seal, record."""
        stream = stream_of(command)
        (kept,) = await session.load(stream)
        forgetting = isinstance(command, ForgetCustomer)
        customer = kept if forgetting else await encryption.opened(command.customer_id, kept)
        # Whoever has nothing encrypted yet has no key yet: a new customer, or one of before there were keys.
        first = not isinstance(kept, Locked)
        events = decide(customer, command)
        session.record(stream, [await encryption.encrypted(event, first=first) for event in events])

    def background_workers(running: RunningContext) -> Sequence[BackgroundWorker]:
        return (DisclosureService(running, encryption), KeyShredder(running, keys), KeyAudit(running, keys))

    async def check_start(store: EventStore) -> None:
        await check_keys(store, keys)

    return Context(
        name="customers",
        commands=CustomersCommand,
        events=CustomersEvent,
        initial=lambda _: None,
        evolve=evolve,
        primary=stream_of,
        handle=handle,
        background_workers=background_workers,
        fingerprint=encryption.fingerprint,
        check_start=check_start,
        requests=(OPEN, KEYS),
    )


def context(settings: Settings) -> Context:
    """The context, with the key store that the settings name; raises SettingsInvalid."""
    return customers(KeyStore(settings.key_store_url, MasterKeySource(settings)))
