"""Which rows are sales, and why the others are not: by the rules of a profile, never by a guess."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timezone
from enum import StrEnum
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

import msgspec
import pycountry

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.columns import Dates, DecimalForm, decimal, instant, minor_units, whole
from gateway.cli.importer.source import Row

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MADE = re.compile(r".*-[0-9a-f]{12}|guest-[A-Z]{2}|.*--[A-Z]{2}")
"""What ids made here look like: a name that looks like that gets a digest as well."""
FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")
LONGEST_STEM = 47
ROOM = 60
"""Characters of an id that a country can be added to."""
LARGEST_QUANTITY = 1_000_000
LARGEST_PRICE = 10**11
"""What the API takes for one line, in units and minor units."""
LONGEST_NAME = 200
LONGEST_CODE = 200
"""Characters of an invoice's number, a stock code or a customer's number."""
CACHED = 20_000
"""Values of a column that are kept with their meaning."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
SHOWN = 60
"""Characters of a wrong value that are repeated in its reason."""


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


def identifier(name: str) -> str:
    """The id of a name: the name itself where it can be one, else what is left of it and its digest."""
    trimmed = name.strip()
    if ID.fullmatch(trimmed) and not MADE.fullmatch(trimmed):
        return trimmed
    return digested(trimmed)


def digested(name: str) -> str:
    """What is left of a name in an id, and the name's digest."""
    stem = FOREIGN.sub("-", name).strip("-_")[:LONGEST_STEM].strip("-_")
    return f"{stem or 'x'}-{digest(name.encode('utf-8', 'surrogatepass'))[:12]}"


def guest(country: str) -> str:
    """The customer that a country's sales without a customer belong to."""
    return f"guest-{country}"


def in_country(customer_id: str, country: str) -> str:
    """The customer's further record in another country."""
    short = customer_id if len(customer_id) <= ROOM else digested(customer_id)
    return f"{short}--{country}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def country_code(text: str) -> str | None:
    """The alpha-2 code that a code or a name means; None if it means none.

    `UK` is refused: ISO 3166 does not contain it, and the importer does not guess.
    """
    return _known().get(text.strip().casefold())


def country_names(given: list[str]) -> dict[str, str]:
    """Read `--country`: `Atlantis=GR`; raises CommandFailed. The names are casefolded."""
    names: dict[str, str] = {}
    for pair in given:
        name, equals, code = (part.strip() for part in pair.rpartition("="))
        if not equals or len(code) != 2 or country_code(code) != code.upper():
            raise CommandFailed(f"--country: {pair!r} is not NAME=CODE with an ISO 3166 code, as in UK=GB")
        if names.setdefault(name.casefold(), code.upper()) != code.upper():
            raise CommandFailed(f"--country: {name!r} is given two codes")
    return names


@cache
def _known() -> dict[str, str]:
    known: dict[str, str] = {}
    for country in pycountry.countries:
        names = (getattr(country, kind, None) for kind in ("name", "official_name", "common_name"))
        for name in (country.alpha_2, *filter(None, names)):
            known[name.casefold()] = country.alpha_2
    return known


class Rejected(msgspec.Struct, frozen=True):
    """A row that is no sale; `detail` says more than the reason.

    `spoils` says that its invoice is not whole without it.
    """

    reason: Reason
    detail: str = ""
    spoils: bool = False


class Measures(msgspec.Struct, frozen=True):
    """A sale's numbers; `unit_price` in minor units, `rounded` if the file was more exact than these."""

    quantity: int
    unit_price: int
    rounded: bool
    placed_at: datetime


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is a sale."""

    invoice: str
    sku: str
    description: str
    measures: Measures
    customer: str
    """Empty for a sale without a customer."""
    country: str


class Wrong(Exception):
    """A field that does not fit."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How the fields of a file's rows are understood; `digits` are those its currency has after the point."""

    digits: int
    dates: Dates = Dates.ISO
    decimal: DecimalForm = DecimalForm.POINT
    zone: ZoneInfo | timezone = UTC
    profile: Profile = PLAIN
    countries: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What the user says of countries, by casefolded name."""


class Classifier:
    """Tells what each row is, always the same for the same row."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        # Values repeat from row to row.
        self._code = lru_cache(CACHED)(code)
        self._instant = lru_cache(CACHED)(self._instant_of)
        self._quantity = lru_cache(CACHED)(quantity)
        self._price = lru_cache(CACHED)(self._price_of)
        self._country = lru_cache(CACHED)(self._country_of)
        self._customer = lru_cache(CACHED)(self._customer_of)

    def classify(self, row: Row) -> Sold | Rejected:
        """A sale, or why it is none."""
        fields = row.named
        if fields is None:
            return Rejected(Reason.BAD_ROW, row.problem)
        try:
            return self._by_codes(fields) or self._sale(fields)
        except Wrong as wrong:
            return Rejected(Reason.BAD_ROW, str(wrong), spoils=True)

    def invoice_of(self, row: Row) -> str:
        """The id of the invoice that a row says it belongs to; empty if it says none."""
        try:
            return self._code("InvoiceNo", row.named["InvoiceNo"]) if row.named is not None else ""
        except Wrong:
            return ""

    def _by_codes(self, fields: Mapping[str, str]) -> Rejected | None:
        profile = self._reading.profile
        if profile.credit_note is not None and profile.credit_note.fullmatch(fields["InvoiceNo"].strip()):
            return Rejected(Reason.CREDIT_NOTE)
        return Rejected(Reason.CHARGE) if fields["StockCode"].strip() in profile.charges else None

    def _sale(self, fields: Mapping[str, str]) -> Sold | Rejected:
        invoice = self._code("InvoiceNo", fields["InvoiceNo"])
        sku = self._code("StockCode", fields["StockCode"])
        placed_at = self._instant(fields["InvoiceDate"])
        measures = self._measures(fields, placed_at)
        if isinstance(measures, Rejected):
            return measures
        country = self._country(fields["Country"])
        if isinstance(country, Rejected):
            return country
        return Sold(
            invoice=invoice,
            sku=sku,
            description=described(fields["Description"]),
            measures=measures,
            customer=self._customer(fields["CustomerID"]),
            country=country,
        )

    def _measures(self, fields: Mapping[str, str], placed_at: datetime) -> Measures | Rejected:
        units = self._quantity(fields["Quantity"])
        unit_price, rounded, sign = self._price(fields["UnitPrice"])
        # What a negative line takes off an invoice is missing from it, unless a rule says that it is no sale.
        if units <= 0:
            return self._rejected(Reason.QUANTITY, spoils=units < 0)
        if unit_price <= 0:
            detail = "it rounds to nothing" if sign > 0 else ""
            return self._rejected(Reason.PRICE, detail, spoils=sign < 0)
        return Measures(units, unit_price, rounded, placed_at)

    def _rejected(self, reason: Reason, detail: str = "", *, spoils: bool) -> Rejected:
        return Rejected(reason, detail, spoils=spoils and reason not in self._reading.profile.rules)

    def _instant_of(self, text: str) -> datetime:
        try:
            return instant(text, self._reading.dates, self._reading.zone)
        except ValueError as error:
            raise Wrong(f"date {shown(text)} {error}") from None

    def _price_of(self, text: str) -> tuple[int, bool, int]:
        """In minor units, whether that is rounded, and the sign of what the file says."""
        form = self._reading.decimal
        price = decimal(text, form)
        if price is None:
            raise Wrong(f"price {shown(text)} is no number with a decimal {form}")
        unit_price, rounded = minor_units(price, self._reading.digits)
        if abs(unit_price) > LARGEST_PRICE:
            raise Wrong(f"price {shown(text)} is beyond what an order may have")
        return unit_price, rounded, (price > 0) - (price < 0)

    def _country_of(self, text: str) -> str | Rejected:
        name = text.strip().casefold()
        if name in self._reading.countries:
            return self._reading.countries[name]
        rules = self._reading.profile.countries
        code = rules[name] if name in rules else country_code(name)
        if code is not None:
            return code
        detail = f"country {shown(text)} is no ISO 3166 code or name; --country NAME=CODE gives it one"
        if name in rules:
            return Rejected(Reason.NO_COUNTRY, detail)
        raise Wrong(detail)

    def _customer_of(self, text: str) -> str:
        trimmed = text.strip()
        pattern = self._reading.profile.customer
        if not trimmed:
            return ""
        if pattern is None:
            return self._code("CustomerID", trimmed)
        found = pattern.fullmatch(trimmed)
        if found is None:
            raise Wrong(f"customer {shown(text)} is no number such as 17850")
        return found[1]


def code(column: str, text: str) -> str:
    """The id of what a field names; raises Wrong."""
    trimmed = text.strip()
    if not trimmed:
        raise Wrong(f"{column} is empty")
    if len(trimmed) > LONGEST_CODE:
        raise Wrong(f"{column} has more than {LONGEST_CODE} characters")
    if CONTROL.search(trimmed):
        raise Wrong(f"{column} {shown(text)} has a control character")
    # Canonically equal texts are one name.
    return identifier(unicodedata.normalize("NFC", trimmed))


def quantity(text: str) -> int:
    """How many units a field says; raises Wrong."""
    units = whole(text)
    if units is None:
        raise Wrong(f"quantity {shown(text)} is no whole number in digits")
    if abs(units) > LARGEST_QUANTITY:
        raise Wrong(f"quantity {shown(text)} is beyond what an order may have")
    return units


@lru_cache(CACHED)
def described(text: str) -> str:
    """A product's name as it can be one; raises Wrong."""
    description = unicodedata.normalize("NFC", " ".join(text.split()))
    if CONTROL.search(description):
        raise Wrong(f"Description {shown(description)} has a control character")
    return description[:LONGEST_NAME]


def shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
