"""A private copy of the input file, unpacked: what is read stays the same when the file changes meanwhile."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tempfile
import zlib
from pathlib import Path
from typing import IO, Any

from gateway.cli.errors import CommandFailed

CHUNK = 1 << 20
LARGEST = 16 << 30
"""Bytes of an unpacked file; a packed file of some kilobytes can claim to be larger than any disk."""

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
        """Remove the copy."""
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


class _Reading(io.RawIOBase):
    """A file read by offset: several readings do not disturb each other."""

    def __init__(self, number: int, until: int) -> None:
        self._number, self._until, self._offset = number, until, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next."""
        view = memoryview(buffer)
        chunk = os.pread(self._number, min(len(view), self._until - self._offset), self._offset)
        view[: len(chunk)] = chunk
        self._offset += len(chunk)
        return len(chunk)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
