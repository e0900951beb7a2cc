"""Looks for texts in files, byte by byte, in every form they may have been written in."""

from __future__ import annotations

import base64
import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, quote_plus

import msgspec

SHORTEST = 4
"""Bytes: anything shorter is found by chance."""


class Found(msgspec.Struct, frozen=True):
    """A text in a file, by its number in the list of texts: what it says is told to nobody."""

    file: str
    offset: int
    text: int
    form: str


class Scanned(msgspec.Struct, frozen=True):
    """What was searched, and what was found; `unread` could not be opened."""

    files: int
    bytes: int
    forms: tuple[str, ...]
    found: tuple[Found, ...]
    unread: tuple[str, ...]


def forms(text: str) -> dict[str, bytes]:
    """The bytes a text may be written as."""
    plain = text.encode()
    return {
        "UTF-8": plain,
        "JSON with escapes": json.dumps(text)[1:-1].encode(),
        "UTF-16": text.encode("utf-16-le"),
        "percent-encoded": quote(text, safe="").encode(),
        "form-encoded": quote_plus(text).encode(),
        **{f"base64, {shift} bytes in": in_base64(plain, shift) for shift in range(3)},
    }


def in_base64(plain: bytes, shift: int) -> bytes:
    """The characters that stand for the text alone, wherever it begins in what was encoded."""
    before = (0, 2, 3)[shift]
    encoded = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
    # The last character also holds bits of whatever comes after the text.
    whole = (len(plain) + shift) % 3 == 0
    return encoded[before:] if whole else encoded[before:-1]


def scan(
    folder: Path, texts: Sequence[str], tell: Callable[[int, int | None], None] = lambda _done, _total: None
) -> Scanned:
    """Search every file under a folder; a file that goes meanwhile is no matter."""
    wanted = [
        (number, form, octets)
        for number, text in enumerate(texts, start=1)
        for form, octets in _distinct(forms(text)).items()
        if len(octets) >= SHORTEST
    ]
    every = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    files = sorted(every) if wanted else []
    found: list[Found] = []
    unread: list[str] = []
    size = count = 0
    for number, path in enumerate(files):
        tell(number, len(files))
        try:
            octets = _contents(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            unread.append(f"{path}: {error.strerror}")
            continue
        count += 1
        size += len(octets)
        found += _search(str(path), octets, wanted)
    tell(len(files), len(files))
    return Scanned(count, size, tuple(forms("")), tuple(found), tuple(unread))


def _contents(path: Path) -> bytes | mmap.mmap:
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _search(
    file: str, octets: bytes | mmap.mmap, wanted: Iterable[tuple[int, str, bytes]]
) -> Iterator[Found]:
    for number, form, text in wanted:
        offset = octets.find(text)
        if offset >= 0:
            yield Found(file, offset, number, form)


def _distinct(known: Mapping[str, bytes]) -> dict[str, bytes]:
    """Most texts look the same in several forms; each is looked for once."""
    distinct: dict[bytes, str] = {}
    for form, octets in known.items():
        distinct.setdefault(octets, form)
    return {form: octets for octets, form in distinct.items()}
