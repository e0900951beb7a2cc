"""The Online Retail data sets' country names as ISO 3166-1 alpha-2 codes."""

from __future__ import annotations

UNKNOWN = "ZZ"
"""User-assigned in ISO 3166-1: for no country, or one this list lacks."""

CODES = {
    "australia": "AU",
    "austria": "AT",
    "bahrain": "BH",
    "belgium": "BE",
    "bermuda": "BM",
    "brazil": "BR",
    "canada": "CA",
    "channel islands": "JE",  # they have no code together; Jersey is the largest
    "cyprus": "CY",
    "czech republic": "CZ",
    "denmark": "DK",
    "eire": "IE",
    "european community": "EU",  # reserved in ISO 3166-1 for the union
    "finland": "FI",
    "france": "FR",
    "germany": "DE",
    "greece": "GR",
    "hong kong": "HK",
    "iceland": "IS",
    "ireland": "IE",
    "israel": "IL",
    "italy": "IT",
    "japan": "JP",
    "korea": "KR",
    "lebanon": "LB",
    "lithuania": "LT",
    "malta": "MT",
    "netherlands": "NL",
    "nigeria": "NG",
    "norway": "NO",
    "poland": "PL",
    "portugal": "PT",
    "rsa": "ZA",
    "saudi arabia": "SA",
    "singapore": "SG",
    "south africa": "ZA",
    "spain": "ES",
    "sweden": "SE",
    "switzerland": "CH",
    "thailand": "TH",
    "united arab emirates": "AE",
    "united kingdom": "GB",
    "united states": "US",
    "unspecified": UNKNOWN,
    "usa": "US",
    "west indies": "XW",  # user-assigned: the name covers a dozen countries
}


def country_code(name: str) -> str | None:
    """The code of a country's name (or a code given instead of a name); None if the name is not known."""
    trimmed = name.strip()
    if len(trimmed) == 2 and trimmed.isascii() and trimmed.isalpha():
        return trimmed.upper()
    return CODES.get(trimmed.casefold()) if trimmed else UNKNOWN
