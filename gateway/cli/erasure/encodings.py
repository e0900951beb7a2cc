"""The bytes a text may be written as, by whoever wrote it down."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Iterator
from html import escape
from urllib.parse import quote, quote_plus

import msgspec

UTF_8 = "UTF-8"
JSON = "JSON escapes"
UTF_16 = "UTF-16"
LATIN_1 = "Latin-1"
URL = "percent-encoding"
HTML = "HTML"
HEX = "hexadecimal"
BASE64 = "base64"

FORMS = (UTF_8, JSON, UTF_16, LATIN_1, URL, HTML, HEX, BASE64)

SHORTEST = 4
"""Bytes: anything shorter is found by chance."""

ESCAPE = re.compile(r"\\u[0-9a-f]{4}")
RUN = re.compile(r"[A-Za-z0-9]+")


class Pattern(msgspec.Struct, frozen=True):
    """Bytes that stand for the text of a line in some form.

    `anchor` is part of them, and of other patterns: where it is not, none of these has to be looked for.
    """

    octets: bytes
    line: int
    form: str
    anchor: bytes


def patterns(text: str, line: int) -> list[Pattern]:
    """Every way to write a text; the same bytes are there once."""
    found: dict[bytes, str] = {}
    for composed in ("NFC", "NFD"):
        for form, octets in _written(unicodedata.normalize(composed, text)):
            if len(octets) >= SHORTEST:
                found.setdefault(octets, form)
    anchors = list(_anchors(text))
    return [
        Pattern(octets, line, form, next((anchor for anchor in anchors if anchor in octets), octets))
        for octets, form in found.items()
    ]


def _anchors(text: str) -> Iterator[bytes]:
    """The longest part that most forms leave as it is, as it stands in each of the others."""
    run = max(RUN.findall(unicodedata.normalize("NFC", text)), key=len, default="").encode()
    if len(run) < SHORTEST:
        return
    yield run
    yield b"\0".join(bytes([octet]) for octet in run)
    yield run.hex().encode()
    yield run.hex().upper().encode()
    for shift in range(3):
        yield from _in_base64(run, shift)


def _written(text: str) -> Iterator[tuple[str, bytes]]:
    plain = text.encode()
    yield UTF_8, plain
    escaped = json.dumps(text)[1:-1]
    yield JSON, escaped.encode()
    yield JSON, ESCAPE.sub(lambda found: rf"\u{found[0][2:].upper()}", escaped).encode()
    yield UTF_16, text.encode("utf-16-le")
    yield UTF_16, text.encode("utf-16-be")
    yield LATIN_1, text.encode("cp1252", "ignore") if _in_latin_1(text) else b""
    yield URL, quote(text, safe="").encode()
    yield URL, quote_plus(text).encode()
    yield HTML, escape(text).encode()
    # As SQL dumps hold what is binary.
    yield HEX, plain.hex().encode()
    yield HEX, plain.hex().upper().encode()
    for shift in range(3):
        for octets in _in_base64(plain, shift):
            yield BASE64, octets


def _in_latin_1(text: str) -> bool:
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _in_base64(plain: bytes, shift: int) -> tuple[bytes, bytes]:
    """The characters that stand for the text alone, with so many bytes before it; in both alphabets."""
    before = (0, 2, 3)[shift]
    encoded = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
    # The last character also holds bits of whatever comes after the text.
    whole = (len(plain) + shift) % 3 == 0
    alone = encoded[before:] if whole else encoded[before:-1]
    return alone, alone.translate(bytes.maketrans(b"+/", b"-_"))
