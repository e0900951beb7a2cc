"""What identifies a person, kept together in one value so that it can be erased as one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from contexts.messages import Country, Name

OptionalName = Annotated[str, Meta(max_length=200)]
Postcode = Annotated[str, Meta(min_length=1, max_length=20)]
Email = Annotated[
    str,
    Meta(
        pattern=r"^[^@\s]{1,64}@[^@\s]{1,189}$(?!\n)",
        max_length=254,
        extra_json_schema={"format": "mailbox"},
    ),
]
"""The gateway asks for more of a new one; see its format."""


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a customer lives; `country` is an ISO 3166-1 alpha-2 code."""

    line1: Name
    line2: OptionalName = ""
    city: Name
    postcode: Postcode
    country: Country


class PersonalData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a customer that identifies a person, in one value: erased as one."""

    name: Name
    email: Email
    address: Address


Encrypted = Annotated[str, Meta(pattern=r"^sealed1\.[A-Za-z0-9_=-]+$(?!\n)", max_length=10_000)]
"""Personal data that only who has the customer's key can read."""
