"""Rules of data sets: which rows of theirs are no sales, how they name customers and countries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Why a row is no sale."""

    CREDIT_NOTE = "credit note"
    CHARGE = "charge, not goods"
    QUANTITY = "quantity ≤ 0"
    PRICE = "price ≤ 0"
    NO_COUNTRY = "no country with an ISO code"
    BAD_ROW = "bad row"
    BAD_INVOICE = "bad invoice"
    REFUSED = "refused by the shop"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one data set. `currency` is the one its prices are in, if it has one."""

    name: str
    currency: str | None = None
    credit_note: re.Pattern[str] | None = None
    charges: frozenset[str] = frozenset()
    customer: re.Pattern[str] | None = None
    """What a customer's number looks like; its first group is the number. None: any text is one."""
    countries: Mapping[str, str | None] = msgspec.field(default_factory=dict)
    """Countries by the data set's own name, casefolded; None for what is no country."""
    rules: frozenset[Reason] = frozenset()
    """The reasons that are rules of the data set: rows rejected for them are as they should be."""


PLAIN = Profile(name="plain")
"""Every row is a sale; codes mean nothing."""

ONLINE_RETAIL = Profile(
    name="online-retail",
    currency="GBP",
    credit_note=re.compile(r"C[0-9]+"),
    charges=frozenset(
        {
            *("POST", "DOT", "M", "m", "D", "S", "B", "C2", "C3", "CRUK", "PADS"),
            *("BANK CHARGES", "AMAZONFEE", "ADJUST", "ADJUST2", "TEST001", "TEST002"),
        }
    ),
    # A spreadsheet with rows that have no customer writes 17850 as 17850.0.
    customer=re.compile(r"([1-9][0-9]{0,14})(?:\.0)?"),
    countries={
        "channel islands": "JE",  # they have no code together; Jersey is the largest
        "czech republic": "CZ",
        "eire": "IE",
        "european community": None,
        "korea": "KR",
        "rsa": "ZA",
        "unspecified": None,
        "usa": "US",
        "west indies": None,  # a dozen countries
    },
    rules=frozenset({Reason.CREDIT_NOTE, Reason.CHARGE, Reason.QUANTITY, Reason.PRICE, Reason.NO_COUNTRY}),
)
"""The UCI data sets «Online Retail» and «Online Retail II»."""

PROFILES = {profile.name: profile for profile in (PLAIN, ONLINE_RETAIL)}
