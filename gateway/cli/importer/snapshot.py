"""The content of an input file: a private copy of it, unpacked, and the encoding it is in."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import tempfile
import zlib
from pathlib import Path
from typing import IO, Any

import msgspec

from gateway.cli.errors import CommandFailed

CHUNK = 1 << 20
LARGEST = 16 << 30
"""Bytes of an unpacked file; a packed file of some kilobytes can claim to be larger than any disk."""
SAMPLE = 1 << 16
NUL_SHARE = 0.1
"""Text has fewer NUL bytes than this; UTF-16 without a mark and programs have more."""
GZIP = b"\x1f\x8b"
OTHER_KINDS = {
    b"PK\x03\x04": "a ZIP archive or an XLSX workbook; unpack it, or save the sheet as CSV",
    b"PK\x05\x06": "an empty ZIP archive; unpack the right one",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an XLS workbook; save the sheet as CSV",
    b"BZh": "packed with bzip2; unpack it with bunzip2",
    b"\xfd7zXZ\x00": "packed with xz; unpack it with unxz",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it with unzstd",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"PAR1": "a Parquet file; export it as CSV",
    b"SQLite format 3\x00": "a SQLite database; export the table as CSV",
    b"%PDF": "a PDF document; export the table as CSV",
    b"{\\rtf": "an RTF document; save it as CSV",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    GZIP: "packed twice with gzip; unpack it once with gunzip",
}
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


class Snapshot:
    """The content of a file as it was when this was made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._copy()
        except (OSError, EOFError, zlib.error) as error:
            self.close()
            raise CommandFailed(
                f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from None
        except BaseException:
            self.close()
            raise

    def open(self, until: int = LARGEST) -> io.BufferedReader:
        """The content from its beginning to an offset; closing this does not end the snapshot."""
        return io.BufferedReader(_Reading(self._content.fileno(), until), CHUNK)

    def close(self) -> None:
        self._content.close()

    @property
    def changed(self) -> bool:
        """Whether the file is no longer the one that was copied."""
        try:
            return _identity(self.path.stat()) != self._identity
        except OSError:
            return True

    def _copy(self) -> None:
        if not stat.S_ISREG(self.path.stat().st_mode):
            kind = "a folder" if self.path.is_dir() else "no regular file"
            raise CommandFailed(f"{self.path} cannot be read: it is {kind}; name a CSV file")
        with self.path.open("rb") as file:
            self._identity = _identity(os.fstat(file.fileno()))
            packed = file.read(2) == GZIP
            file.seek(0)
            size = self._write(gzip.GzipFile(fileobj=file) if packed else file)
            if _identity(os.fstat(file.fileno())) != self._identity:
                raise CommandFailed(f"{self.path} changes while it is read; import it when it is complete")
        if not size:
            raise CommandFailed(f"{self.path} is empty; name a CSV file with a header and rows")

    def _write(self, file: IO[bytes] | gzip.GzipFile) -> int:
        size = 0
        while chunk := file.read(CHUNK):
            if not size:
                self._refuse_other_kinds(chunk)
            size += len(chunk)
            if size > LARGEST:
                raise CommandFailed(f"{self.path} is larger than {LARGEST >> 30} GiB; import it in parts")
            self._content.write(chunk)
        self._content.flush()
        return size

    def _refuse_other_kinds(self, begin: bytes) -> None:
        for magic, kind in OTHER_KINDS.items():
            if begin.startswith(magic):
                raise CommandFailed(f"{self.path} is no CSV file but {kind}")


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
        raise CommandFailed(f"--encoding: {given!r} is not one of {', '.join(OFFERED)}")
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


class _Reading(io.RawIOBase):
    """A file read by offset: several readings do not disturb each other."""

    def __init__(self, number: int, until: int) -> None:
        self._number, self._until, self._offset = number, until, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        chunk = os.pread(self._number, min(len(view), self._until - self._offset), self._offset)
        view[: len(chunk)] = chunk
        self._offset += len(chunk)
        return len(chunk)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
