"""Who is this customer? One document per customer; of a forgotten one only the id is left."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from contexts.customers.events import (
    AddressChanged,
    CustomerForgotten,
    CustomerRegistered,
    CustomersEvent,
    EmailChanged,
)
from contexts.customers.personal_data import PersonalData
from read_models.model import Occurrence, ReadModel, Source, latest
from read_models.reading import ReadModels


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


def project(document: Customer | None, occurrence: Occurrence) -> Customer:
    """The customer after one more event."""
    customer = document or Customer(customer_id=occurrence.key)
    event: CustomersEvent = occurrence.event
    match event:
        case CustomerRegistered() | EmailChanged() | AddressChanged():
            changed = _known(customer, event.personal)
        case CustomerForgotten():
            changed = Customer(
                customer_id=customer.customer_id, status="forgotten", updated_at=customer.updated_at
            )
        case _:
            assert_never(event)
    return msgspec.structs.replace(
        changed, updated_at=latest(changed.updated_at, occurrence.time), version=occurrence.version
    )


def _known(customer: Customer, personal: PersonalData) -> Customer:
    address = personal.address
    return msgspec.structs.replace(
        customer,
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


CUSTOMERS = ReadModel(
    name="customers", sources=(Source("customers", CustomersEvent),), document=Customer, project=project
)


async def get(models: ReadModels, customer_id: str) -> dict[str, Any] | None:
    """A customer, if one registered under this id; also a forgotten one, without anything personal."""
    return await models.get(CUSTOMERS, customer_id)
