"""Looks for bytes in a stream of pieces, however it is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec


class Found(msgspec.Struct, frozen=True):
    """Where the text of a line is, and in which form: what it says is told to nobody.

    `offset` counts bytes from where the place begins; it is None where that says nothing.
    """

    place: str
    offset: int | None
    line: int
    form: str


def search(
    place: str, pieces: Iterable[bytes], wanted: Sequence[tuple[bytes, int, str]], *, counted: bool = True
) -> Iterator[Found]:
    """The first time that each of the bytes `wanted`, with their lines and forms, is there."""
    overlap = max((len(octets) for octets, _, _ in wanted), default=1) - 1
    left = list(wanted)
    tail, begins = b"", 0
    for piece in pieces:
        window = tail + piece
        missing = []
        for item in left:
            octets, line, form = item
            at = window.find(octets)
            if at < 0:
                missing.append(item)
            else:
                yield Found(place, begins + at if counted else None, line, form)
        left = missing
        tail = window[max(0, len(window) - overlap) :]
        begins += len(window) - len(tail)
