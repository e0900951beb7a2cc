"""Codes of countries (ISO 3166-1) and of currencies (ISO 4217) that commands and queries may name.

Events are not held to these: what was once taken stays readable when a list changes.
"""

from __future__ import annotations

import pycountry
from iso4217 import raw_xml

COUNTRIES = frozenset(country.alpha_2 for country in pycountry.countries)

MEANT = {"UK": "GB", "EL": "GR"}
"""Codes in use that are no country's, and the country's own."""

MINOR_UNITS = {
    str(entry.findtext("Ccy")).strip(): int(units)
    for entry in raw_xml.iter("CcyNtry")
    for units in [str(entry.findtext("CcyMnrUnts")).strip()]
    # Funds, metals and units of account are in the list, too; nothing is paid in them.
    if units in {"0", "2", "3"} and all(name.get("IsFund") != "true" for name in entry.iter("CcyNm"))
}
"""Every currency that can be paid in, and the decimal places of its amounts."""


def fault_of_country(code: str) -> str | None:
    """Why it is refused; None if it is a country's."""
    if code in COUNTRIES:
        return None
    hint = f"; write {MEANT[code]}" if code in MEANT else ""
    return f"{code} is no country's code in ISO 3166-1{hint}"


def fault_of_currency(code: str) -> str | None:
    """Why it is refused; None if it is a currency's."""
    return None if code in MINOR_UNITS else f"{code} is no currency in ISO 4217 that is paid in"
