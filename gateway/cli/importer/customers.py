"""The file's customers in the shop: a record for each country that one bought from.

Sales count in the country of the customer's address. The file has no address but the country, so a
customer whom an import has made has a further record for each further country. A customer whom the shop
knows otherwise keeps the one record there is, with the address it has; the report tells where their sales
are counted then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.cli.importer.identifiers import guest, in_country
from gateway.cli.importer.survey import Buyer

CUSTOMERS = "/v1/customers"


class Records(msgspec.Struct):
    """Which record of the shop a customer's purchases in a country belong to."""

    ids: dict[tuple[str, str], str] = msgspec.field(default_factory=dict)
    further: dict[str, str] = msgspec.field(default_factory=dict)
    """A customer's further record → the customer."""
    elsewhere: dict[str, str] = msgspec.field(default_factory=dict)
    """Customer → the country their sales are counted in, though the file has another."""

    def of(self, customer: str, country: str) -> str:
        """The record's id."""
        return self.ids.get((customer, country), customer)


def countries_of(buyers: Mapping[str, Buyer]) -> list[str]:
    """A customer's countries, the one of the first invoice first."""
    return [buyer.country for buyer in sorted(buyers.values())]


def was_imported(document: Mapping[str, Any], customer: str) -> bool:
    """Whether a customer's record is one that an import made."""
    return document.get("email") == email_of(customer)


def country_of(document: Mapping[str, Any]) -> str | None:
    """Where a customer lives by their record; None of one who was forgotten."""
    country = (document.get("address") or {}).get("country")
    return None if country is None else str(country)


def customer_body(customer_id: str, country: str) -> dict[str, object]:
    """A customer of whom the file says only the number and the country."""
    name = f"Guest from {country}" if customer_id == guest(country) else f"Customer {customer_id}"
    return {
        "customer_id": customer_id,
        "name": name,
        "email": email_of(customer_id),
        "address": {"line1": "unknown", "city": "unknown", "postcode": "unknown", "country": country},
    }


def email_of(customer_id: str) -> str:
    """An address that cannot exist (RFC 2606)."""
    return f"{customer_id if customer_id.startswith('guest-') else f'customer-{customer_id}'}@example.invalid"


def further_record(records: Records, customer: str, country: str) -> str:
    """Note that a customer has a further record in a country; its id."""
    made = in_country(customer, country)
    records.ids[customer, country] = made
    records.further[made] = customer
    return made
