"""What a text from outside may hold: something to see, in characters everybody reads alike."""

from __future__ import annotations

import unicodedata
from typing import Any

REFUSED = {
    "Cc": "a control character",
    "Cn": "a character that Unicode has not assigned",
    "Co": "a character of private use",
    "Cs": "half a character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
"""By Unicode's general categories (RFC 8264 refuses these, too)."""

OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction of what stands after them, also beyond the text's end."""

VISIBLE = frozenset("LNPS")
"""General categories of what can be seen, by their first letter."""
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are empty all the same."""


def normalised(value: Any) -> Any:
    """A decoded JSON value with every text in normalisation form C: what looks the same is the same."""
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case list():
            return [normalised(item) for item in value]
        case dict():
            return {name: normalised(item) for name, item in value.items()}
        case _:
            return value


def fault_of(text: str) -> str | None:
    """Why a text is refused; None if it is taken. An empty one is for its type to refuse."""
    if not text or (text.isascii() and text.isprintable() and not text.isspace()):
        return None
    seen = False
    for character in text:
        category = unicodedata.category(character)
        if character in OVERRIDES:
            return f"U+{ord(character):04X} overrides the direction of text"
        if category in REFUSED:
            return f"U+{ord(character):04X} is {REFUSED[category]}"
        seen = seen or (category[0] in VISIBLE and character not in BLANK)
    return None if seen else "there is nothing to see in it"
