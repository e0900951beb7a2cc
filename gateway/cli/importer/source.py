"""A CSV file of invoice rows, plain or gzip, in UTF-8 or the Windows code page, read as often as needed."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from gateway.cli.failure import CommandFailed

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20


class Row(msgspec.Struct, frozen=True):
    """A row as it stands in the file; `number` counts from 1 after the header."""

    number: int
    fields: tuple[str, ...]
    named: Mapping[str, str] | None
    """The fields by the names of COLUMNS; None if the row does not have them all."""


class Source:
    """An input file, checked: it has the columns, and `digest` names its content."""

    def __init__(self, path: Path, names: Mapping[str, str]) -> None:
        """`names` gives the file's own name of a column where it is not that of COLUMNS."""
        self.path = path
        try:
            self.digest, self._encoding = self._look_through()
            self.header = tuple(next(self._lines()))
        except StopIteration:
            raise CommandFailed(f"{path} is empty") from None
        except (OSError, EOFError, zlib.error, csv.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandFailed(f"{path} cannot be read: {reason}") from None
        wanted = {column: names.get(column, column) for column in COLUMNS}
        lacking = [name for name in wanted.values() if name not in self.header]
        if lacking:
            raise CommandFailed(
                f"{path} lacks the column {', '.join(lacking)}; say with --map what yours are called, "
                "as in --map 'InvoiceNo=Invoice,UnitPrice=Price'"
            )
        self._places = {column: self.header.index(name) for column, name in wanted.items()}

    def rows(self) -> Iterator[Row]:
        """Every row of the file; empty lines are none."""
        lines = self._lines()
        next(lines)
        number = 0
        while True:
            try:
                fields = next(lines)
            except StopIteration:
                return
            except csv.Error as error:
                fields = [f"unreadable: {error}"]
            if fields:
                number += 1
                yield Row(number, tuple(fields), self._named(fields))

    def _named(self, fields: list[str]) -> dict[str, str] | None:
        if len(fields) != len(self.header):
            return None
        return {column: fields[place] for column, place in self._places.items()}

    def _lines(self) -> Iterator[list[str]]:
        with self._open() as content:
            yield from csv.reader(io.TextIOWrapper(content, self._encoding, "replace", newline=""))

    def _open(self) -> IO[bytes]:
        content = self.path.open("rb")
        packed = content.read(2) == GZIP_MAGIC
        content.seek(0)
        return gzip.GzipFile(fileobj=content) if packed else content  # type: ignore[return-value] # it is one

    def _look_through(self) -> tuple[str, str]:
        """The digest of the content, and the encoding it is in."""
        sha = hashlib.sha256()
        decoder = codecs.getincrementaldecoder("utf-8")()
        encoding = "utf-8-sig"
        with self._open() as content:
            while chunk := content.read(CHUNK):
                sha.update(chunk)
                if encoding == "utf-8-sig":
                    try:
                        decoder.decode(chunk)
                    except UnicodeDecodeError:
                        # The Online Retail files came from a Windows spreadsheet.
                        encoding = "cp1252"
        return sha.hexdigest(), encoding


def column_names(text: str) -> dict[str, str]:
    """Read `--map`: `InvoiceNo=Invoice,UnitPrice=Price`."""
    names: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        column, equals, name = pair.partition("=")
        if column.strip() not in COLUMNS or not equals or not name.strip():
            raise CommandFailed(f"--map: {pair!r} is not COLUMN=NAME with a column of {', '.join(COLUMNS)}")
        names[column.strip()] = name.strip()
    return names
