"""Looks for bytes in a stream of pieces, however it is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gateway.cli.erasure.encodings import Pattern


class Found(msgspec.Struct, frozen=True):
    """Where the text of a line is, and in which form: what it says is told to nobody.

    `offset` counts bytes from where the place begins; it is None where that says nothing.
    """

    place: str
    offset: int | None
    line: int
    form: str


def search(
    place: str, pieces: Iterable[bytes], wanted: Sequence[Pattern], *, counted: bool = True
) -> Iterator[Found]:
    """The first time that each of the patterns is there."""
    overlap = max((len(pattern.octets) for pattern in wanted), default=1) - 1
    left = list(wanted)
    tail, begins = b"", 0
    for piece in pieces:
        window = tail + piece
        anchored: dict[bytes, bool] = {}
        missing = []
        for pattern in left:
            anchor = pattern.anchor
            if anchor not in anchored:
                anchored[anchor] = anchor in window
            at = window.find(pattern.octets) if anchored[anchor] else -1
            if at < 0:
                missing.append(pattern)
            else:
                yield Found(place, begins + at if counted else None, pattern.line, pattern.form)
        left = missing
        tail = window[max(0, len(window) - overlap) :]
        begins += len(window) - len(tail)
