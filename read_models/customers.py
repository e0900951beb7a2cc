"""Who is this customer? One document per customer; of a forgotten one only the id is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, assert_never

import msgspec

from contexts.customers.events import (
    AddressChanged,
    CustomerForgotten,
    CustomerRegistered,
    CustomersEvent,
    EmailChanged,
)
from contexts.customers.personal_data import Encrypted, PersonalData
from read_models.projection.documents import ReadModels
from read_models.projection.model import Occurrence, ReadModel, Source, latest


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """`country` is an ISO 3166-1 alpha-2 code."""

    line1: str
    line2: str
    city: str
    postcode: str
    country: str


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: active, forgotten; `version` of the customer's stream."""

    customer_id: str
    status: str = "active"
    name: str | None = None
    email: str | None = None
    address: Address | None = None
    updated_at: str | None = None
    version: int = 0


class KeptCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """The document: a customer whose personal data stay encrypted, as they are in the events."""

    customer_id: str
    status: str = "active"
    personal: PersonalData | Encrypted | None = None
    updated_at: str | None = None
    version: int = 0


Disclose = Callable[[str, str], Awaitable[PersonalData | None]]
"""Opens what is encrypted about a customer; None if the customer was forgotten."""


def project(document: KeptCustomer | None, occurrence: Occurrence) -> KeptCustomer:
    """The customer after one more event."""
    customer = document or KeptCustomer(customer_id=occurrence.key)
    event: CustomersEvent = occurrence.event
    match event:
        case CustomerRegistered() | EmailChanged() | AddressChanged():
            changed = msgspec.structs.replace(customer, personal=event.personal)
        case CustomerForgotten():
            changed = msgspec.structs.replace(customer, personal=None, status="forgotten")
        case _:
            assert_never(event)
    return msgspec.structs.replace(
        changed, updated_at=latest(customer.updated_at, occurrence.time), version=occurrence.version
    )


CUSTOMERS = ReadModel(
    name="customers", sources=(Source("customers", CustomersEvent),), document=KeptCustomer, project=project
)


async def get(models: ReadModels, disclose: Disclose, customer_id: str) -> dict[str, Any] | None:
    """A customer, if one registered under this id; also a forgotten one, without anything personal."""
    found = await models.get(CUSTOMERS, customer_id)
    if found is None:
        return None
    kept = CUSTOMERS.loaded(found)
    personal = kept.personal
    if isinstance(personal, str):
        personal = await disclose(customer_id, personal)
    shown: dict[str, Any] = msgspec.to_builtins(_shown(kept, personal))
    return shown


def _shown(kept: KeptCustomer, personal: PersonalData | None) -> Customer:
    seen = Customer(customer_id=kept.customer_id, updated_at=kept.updated_at, version=kept.version)
    if personal is None:
        return msgspec.structs.replace(seen, status="forgotten")
    address = personal.address
    return msgspec.structs.replace(
        seen,
        name=personal.name,
        email=personal.email,
        address=Address(
            line1=address.line1,
            line2=address.line2,
            city=address.city,
            postcode=address.postcode,
            country=address.country,
        ),
    )
