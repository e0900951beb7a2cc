"""Seals what identifies a customer with that customer's key, and opens it while there is one."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from contexts.customers.commands import CustomersCommand, ForgetCustomer, RegisterCustomer
from contexts.customers.decider import Customer, Locked, Registered
from contexts.customers.events import AddressChanged, CustomerRegistered, CustomersEvent, EmailChanged
from contexts.customers.personal_data import Encrypted, PersonalData
from contexts.messages import CustomerId, Rejected
from infra.runtime.context import Unavailable
from infra.settings import SettingsInvalid
from infra.vault.encryption import DecryptionFailed, decrypt_text, encrypt_text
from infra.vault.key_store import KeyDestroyed, KeyMissing, KeyStore
from infra.vault.master_keys import MasterKeyUnknown
from infra.vault.table import KeyStoreGone

UNREADABLE = (KeyMissing, MasterKeyUnknown, DecryptionFailed, SettingsInvalid, KeyStoreGone)
"""The keys are not what they should be: an operator has to look."""

E = TypeVar("E", bound=CustomersEvent)


class Encryption:
    """The keys of customers at work. Every method may raise StoreUnavailable."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    async def opened(self, customer_id: CustomerId, customer: Customer | Locked) -> Customer:
        """A customer to decide on; raises Unavailable or Rejected when there is no key to open it with."""
        if not isinstance(customer, Locked):
            return customer
        personal = await self.read(customer_id, customer.encrypted)
        if personal is None:
            if await self._keys.lost(customer_id):
                raise Rejected(f"the data of customer {customer_id} were lost with their key: forget them")
            raise Unavailable(f"customer {customer_id} is being forgotten")
        return Registered(personal)

    async def read(self, customer_id: CustomerId, encrypted: Encrypted) -> PersonalData | None:
        """The plain data; None if its key was destroyed. Raises Unavailable when it should be readable."""
        try:
            key = await self._keys.key(customer_id)
            return msgspec.json.decode(decrypt_text(key, encrypted, customer_id), type=PersonalData)
        except KeyDestroyed:
            return None
        except (*UNREADABLE, msgspec.DecodeError) as error:
            raise Unavailable(f"the data of customer {customer_id} cannot be opened: {error}") from error

    async def fingerprint(self, command: CustomersCommand, plain: bytes) -> bytes:
        """What a command is known again by, made with the customer's key; empty if there is none (any more).

        A plain hash would outlive the key, also in backups: whoever has it could try names and addresses.
        """
        if isinstance(command, ForgetCustomer):
            return plain
        try:
            registers = isinstance(command, RegisterCustomer)
            key = await (self._keys.make if registers else self._keys.key)(command.customer_id)
        except (KeyDestroyed, KeyMissing):
            return b""
        except UNREADABLE as error:
            raise Unavailable(f"the key of customer {command.customer_id} cannot be used: {error}") from error
        return hashlib.blake2b(plain, key=key, digest_size=len(plain), person=b"fingerprint").digest()

    async def encrypted(self, event: E, *, first: bool) -> E:
        """An event as it may be stored. A customer's first one makes the key."""
        if not isinstance(event, CustomerRegistered | EmailChanged | AddressChanged):
            return event
        customer_id = event.customer_id
        try:
            key = await (self._keys.make(customer_id) if first else self._keys.key(customer_id))
        except (KeyDestroyed, *UNREADABLE) as error:
            raise Unavailable(f"the data of customer {customer_id} cannot be encrypted: {error}") from error
        encrypted = encrypt_text(key, msgspec.json.encode(event.personal), customer_id)
        return msgspec.structs.replace(event, personal=encrypted)
