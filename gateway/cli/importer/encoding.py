"""Which encoding a file is in: said by its mark or by the user, else UTF-8, and never a guess."""

from __future__ import annotations

import codecs
import io

import msgspec

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.snapshot import Snapshot

CHUNK = 1 << 20
SAMPLE = 1 << 16
NUL_SHARE = 0.1
"""Text has fewer NUL bytes than this; UTF-16 without a mark and programs have more."""

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""The longer first: UTF-32's mark begins as UTF-16's does."""

OFFERED = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"),
    *(f"windows-{number}" for number in range(1250, 1259)),
    *(f"iso-8859-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)),
    *("ascii", "cp437", "cp850", "mac-roman", "koi8-r", "koi8-u"),
    *("shift_jis", "euc-jp", "euc-kr", "gb18030", "big5"),
)
CODECS = {codecs.lookup(name).name: name for name in OFFERED}


class Encoding(msgspec.Struct, frozen=True):
    """`codec` reads the file; `said` is how it is told to the user."""

    codec: str
    said: str


def encoding_of(snapshot: Snapshot, given: str | None) -> Encoding:
    """The encoding that the whole file is in; raises CommandFailed naming the line and offset that is not."""
    found = _found(snapshot, given)
    wrong = _first_undecodable(snapshot, found.codec)
    if wrong is None:
        return found
    offset, what = wrong
    line = _line_at(snapshot, found.codec, offset)
    advice = (
        "mend it there, or say with --encoding if the whole file is in another one, such as windows-1252"
        if given is None
        else "mend it there, or give another --encoding"
    )
    raise CommandFailed(
        f"{snapshot.path} is not {found.said}: line {line}, byte offset {offset}: {what}; {advice}"
    )


def _found(snapshot: Snapshot, given: str | None) -> Encoding:
    with snapshot.open() as file:
        sample = file.read(SAMPLE)
    mark = next((codec for bom, codec in MARKS if sample.startswith(bom)), None)
    if given is not None:
        return _as_said(snapshot, given, mark)
    if mark is not None:
        return Encoding(mark, "UTF-8 with its mark" if mark == "utf-8-sig" else mark.upper())
    if sample.count(0) > len(sample) * NUL_SHARE:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if max(even, odd) > 3 * min(even, odd):
            name = "utf-16-be" if even > odd else "utf-16-le"
            raise CommandFailed(
                f"{snapshot.path} looks like UTF-16 without its mark; --encoding {name} reads it as that"
            )
        raise CommandFailed(f"{snapshot.path} is no text; name a CSV file")
    return Encoding("utf-8", "UTF-8")


def _as_said(snapshot: Snapshot, given: str, mark: str | None) -> Encoding:
    try:
        codec = codecs.lookup(given.strip()).name
    except (LookupError, ValueError, UnicodeError):
        codec = ""
    if codec == "utf-8-sig":
        codec = "utf-8"
    if codec not in CODECS:
        raise CommandFailed(f"--encoding: {given!r} is none of {', '.join(OFFERED)}")
    if mark is not None:
        if not codec.startswith(mark.removesuffix("-sig")):
            raise CommandFailed(
                f"{snapshot.path} begins with the mark of {mark.removesuffix('-sig')}; "
                f"leave --encoding {given} away"
            )
        codec = mark
    return Encoding(codec, CODECS.get(codec, codec))


def _first_undecodable(snapshot: Snapshot, codec: str) -> tuple[int, str] | None:
    decoder = codecs.getincrementaldecoder(codec)()
    read = 0
    with snapshot.open() as file:
        while True:
            chunk = file.read(CHUNK)
            pending = decoder.getstate()[0]
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                bad = error.object[error.start : error.end] or error.object[-1:]
                offset = read - len(pending) + error.start
                return offset, f"{'byte' if len(bad) == 1 else 'bytes'} 0x{bad[:8].hex().upper()}"
            except UnicodeError as error:
                return max(0, read - len(pending)), str(error)
            if not chunk:
                return None
            read += len(chunk)


def _line_at(snapshot: Snapshot, codec: str, offset: int) -> int:
    """The physical line that a byte is in, counted from 1."""
    lines, ended = 0, True
    with io.TextIOWrapper(snapshot.open(until=offset), codec, "ignore", newline="") as text:
        while piece := text.readline(CHUNK):
            lines += ended
            ended = piece.endswith(("\n", "\r"))
    return lines + ended
