"""The rules about customers: registered once, changed while remembered, forgotten for good."""

from __future__ import annotations

from typing import assert_never

import msgspec

from contexts.customers.commands import (
    ChangeAddress,
    ChangeEmail,
    CustomersCommand,
    ForgetCustomer,
    RegisterCustomer,
)
from contexts.customers.events import (
    AddressChanged,
    CustomerForgotten,
    CustomerRegistered,
    CustomersEvent,
    EmailChanged,
)
from contexts.customers.personal_data import Encrypted, PersonalData
from contexts.messages import Rejected, Unknown


class Forgotten(msgspec.Struct, frozen=True):
    """What is left of a customer whose data were erased."""


class Registered(msgspec.Struct, frozen=True):
    """A customer we know."""

    personal: PersonalData


class Locked(msgspec.Struct, frozen=True):
    """A customer whose data are still encrypted: enough to forget it, too little for anything else."""

    encrypted: Encrypted


Customer = Registered | Forgotten | None
"""A customer: known, forgotten, or never heard of."""


def decide(customer: Customer | Locked, command: CustomersCommand) -> tuple[CustomersEvent, ...]:
    """Answer a command with the facts it causes; none if nothing changes."""
    match command, customer:
        case ForgetCustomer(), Forgotten():
            return ()
        case ForgetCustomer(customer_id=customer_id), Locked():
            return (CustomerForgotten(customer_id=customer_id),)
        case _, Forgotten():
            raise Rejected(f"customer {command.customer_id} has been forgotten")
        case RegisterCustomer(), None:
            return (_registered(command),)
        case _, None:
            raise Unknown(f"customer {command.customer_id} is not registered")
        case _, Locked():
            raise TypeError("a customer is opened before anything else is decided")
        case _, Registered(personal=personal):
            return _change(personal, command)
        case _:
            assert_never(customer)


def _change(personal: PersonalData, command: CustomersCommand) -> tuple[CustomersEvent, ...]:
    match command:
        case RegisterCustomer(customer_id=customer_id):
            if _personal(command) == personal:
                return ()
            raise Rejected(f"customer {customer_id} is registered with other data")
        case ChangeEmail(customer_id=customer_id, email=email):
            changed = msgspec.structs.replace(personal, email=email)
            return () if changed == personal else (EmailChanged(customer_id=customer_id, personal=changed),)
        case ChangeAddress(customer_id=customer_id, address=address):
            changed = msgspec.structs.replace(personal, address=address)
            if changed == personal:
                return ()
            return (AddressChanged(customer_id=customer_id, country=address.country, personal=changed),)
        case ForgetCustomer(customer_id=customer_id):
            return (CustomerForgotten(customer_id=customer_id),)
        case _:
            assert_never(command)


def _personal(command: RegisterCustomer) -> PersonalData:
    return PersonalData(name=command.name, email=command.email, address=command.address)


def _registered(command: RegisterCustomer) -> CustomerRegistered:
    return CustomerRegistered(
        customer_id=command.customer_id, country=command.address.country, personal=_personal(command)
    )


def evolve(_customer: Customer | Locked, event: CustomersEvent) -> Customer | Locked:
    """The customer after one more fact; each carries all that is known from then on."""
    match event:
        case CustomerRegistered() | EmailChanged() | AddressChanged():
            return (
                Registered(event.personal)
                if isinstance(event.personal, PersonalData)
                else Locked(event.personal)
            )
        case CustomerForgotten():
            return Forgotten()
        case _:
            assert_never(event)
