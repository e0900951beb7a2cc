"""Which rows are sales, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from gateway.cli.importer.amounts import finite, minor_units
from gateway.cli.importer.countries import UNKNOWN, country_code
from gateway.cli.importer.identifiers import identifier
from gateway.cli.importer.source import Row

LARGEST_QUANTITY = 1_000_000
LARGEST_PRICE = 10**11
"""What the API takes for one line, in units and minor units."""

CHARGES = re.compile(
    r"POST|DOT|M|D|S|B|C2|C3|BANK CHARGES|AMAZONFEE|CRUK|PADS|ADJUST\d*|TEST\w*", re.IGNORECASE
)
"""Stock codes that are postage, carriage, fees, discounts, samples, corrections and trials."""

DATES = ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%y %H:%M")
"""How the data set's spreadsheets write a date, besides ISO 8601."""


class Reason(StrEnum):
    """Why a row is no sale."""

    CREDIT_NOTE = "credit note"
    CHARGE = "charge, not goods"
    QUANTITY = "quantity ≤ 0"
    PRICE = "price ≤ 0"
    BAD_ROW = "bad row"


class Rejected(msgspec.Struct, frozen=True):
    """A row that is no sale; `detail` says what is wrong with a bad one."""

    reason: Reason
    detail: str = ""


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
    country_name: str
    """The file's name of a country that is not known; empty otherwise."""


def classify(row: Row, digits: int) -> Sold | Rejected:
    """Tell what a row is; `digits` is how many digits after the point the currency has."""
    fields = row.named
    if fields is None:
        return Rejected(Reason.BAD_ROW, f"{len(row.fields)} fields")
    rejected = by_codes(fields)
    if rejected is not None:
        return rejected
    measured = by_measures(fields, digits)
    if isinstance(measured, Rejected):
        return measured
    country = country_code(fields["Country"])
    return Sold(
        invoice=identifier(fields["InvoiceNo"]),
        sku=identifier(fields["StockCode"]),
        description=" ".join(fields["Description"].split())[:200],
        measures=measured,
        customer=customer_number(fields["CustomerID"]),
        country=country or UNKNOWN,
        country_name="" if country else fields["Country"].strip(),
    )


def by_codes(fields: Mapping[str, str]) -> Rejected | None:
    """Reject a row for what its invoice number or its stock code says."""
    invoice, code = fields["InvoiceNo"].strip(), fields["StockCode"].strip()
    if not invoice or not code:
        return Rejected(Reason.BAD_ROW, "no stock code" if invoice else "no invoice number")
    if invoice[0] in "Cc":
        return Rejected(Reason.CREDIT_NOTE)
    return Rejected(Reason.CHARGE) if CHARGES.fullmatch(code) else None


def by_measures(fields: Mapping[str, str], digits: int) -> Measures | Rejected:
    """Read a row's quantity, price and date, or reject it for what they say."""
    quantity, price = finite(fields["Quantity"]), finite(fields["UnitPrice"])
    placed_at = instant(fields["InvoiceDate"])
    if quantity is None or quantity != quantity.to_integral_value():
        return Rejected(Reason.BAD_ROW, f"quantity {fields['Quantity']!r}")
    if price is None or placed_at is None:
        wrong = f"price {fields['UnitPrice']!r}" if price is None else f"date {fields['InvoiceDate']!r}"
        return Rejected(Reason.BAD_ROW, wrong)
    unit_price, rounded = minor_units(price, digits)
    if quantity > LARGEST_QUANTITY or unit_price > LARGEST_PRICE:
        return Rejected(Reason.BAD_ROW, "quantity or price beyond what an order may have")
    if quantity <= 0:
        return Rejected(Reason.QUANTITY)
    if unit_price <= 0:
        return Rejected(Reason.PRICE, f"{price} rounds to nothing" if price > 0 else "")
    return Measures(int(quantity), unit_price, rounded, placed_at)


def customer_number(text: str) -> str:
    """A customer's id: a spreadsheet writes the number 17850 as `17850.0`."""
    trimmed = text.strip()
    number: Decimal | None = finite(trimmed)
    if number is not None and number == number.to_integral_value() and abs(number) < 10**15:
        return identifier(str(int(number)))
    return identifier(trimmed) if trimmed else ""


def instant(text: str) -> datetime | None:
    """The moment a row was invoiced; a time without an offset is taken as UTC."""
    trimmed = text.strip()
    try:
        moment = datetime.fromisoformat(trimmed)
    except ValueError:
        for form in DATES:
            try:
                moment = datetime.strptime(trimmed, form)  # noqa: DTZ007 - taken as UTC below
                break
            except ValueError:
                continue
        else:
            return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
