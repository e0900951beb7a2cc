"""Ids made from what a file calls things: always the same, and never one id for two different names."""

from __future__ import annotations

import hashlib
import re

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MADE = re.compile(r".*-[0-9a-f]{12}|guest-[A-Z]{2}|.*--[A-Z]{2}")
"""What ids made here look like: a name that looks like that gets a digest as well."""
FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")
LONGEST_STEM = 47
ROOM = 60
"""Characters of an id that a country can be added to."""


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
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
