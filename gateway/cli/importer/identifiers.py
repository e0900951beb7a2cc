"""Ids made from what a file calls things: always the same, and never one id for two different names."""

from __future__ import annotations

import hashlib
import re

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")
LONGEST_STEM = 48


def identifier(name: str) -> str:
    """The id of a name: the name itself where it can be one, else what is left of it and its digest."""
    trimmed = name.strip()
    if ID.fullmatch(trimmed):
        return trimmed
    stem = FOREIGN.sub("-", trimmed).strip("-_")[:LONGEST_STEM]
    return "-".join(filter(None, [stem, digest(trimmed.encode())[:12]]))


def digest(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
