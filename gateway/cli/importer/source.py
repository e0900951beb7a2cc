"""The rows of a CSV file: how it is written is found out once, for the whole file, and told."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TextIO

import msgspec

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.columns import COLUMNS, DateColumn, Dates, DecimalColumn, DecimalForm, places
from gateway.cli.importer.snapshot import Snapshot, encoding_of

LONGEST_LINE = 1_000_000
LONGEST_FIELD = 10_000
"""Characters."""
MOST_LINES = 100
"""Lines of one record: more are a quote that is not closed."""
LINE_END = re.compile(r"\r\n|\r|\n")
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
NAMES = {character: name for name, character in SEPARATORS.items()}


class Format(msgspec.Struct, frozen=True):
    """How fields are told apart; `quoted` is whether double quotes mean anything."""

    separator: str
    quoted: bool


class Row(msgspec.Struct, frozen=True):
    """A row as it stands in the file; `line` is the physical line it begins on, counted from 1."""

    line: int
    fields: tuple[str, ...]
    named: Mapping[str, str] | None = None
    """The fields by the names of COLUMNS; None if the row does not have them all."""
    problem: str = ""
    """Why it does not."""


class Lines:
    """The physical lines of a text, counted, for one record after the other."""

    def __init__(self, text: TextIO, file: str) -> None:
        self._text = text
        self._file = file
        self.number = 0
        self.began = 1
        self.current = ""

    def begin(self) -> None:
        self.began = self.number + 1

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        if self.number + 1 - self.began >= MOST_LINES:
            raise self.unclosed()
        self.number += 1
        self.current = line
        if len(line) > LONGEST_LINE:
            raise CommandFailed(
                f"{self._file}: line {self.number} has more than {LONGEST_LINE:,} characters; name a CSV file"
            )
        return line

    def unclosed(self) -> CommandFailed:
        """A quote that was opened in the current record is not closed."""
        return CommandFailed(
            f"{self._file}: the quote opened in line {self.began} is not closed where its field ends; "
            "mend it there, or say --quote none if quotes mean nothing in this file"
        )


def records(lines: Lines, form: Format, width: int | None = None) -> Iterator[Row]:
    """Every record that is not an empty line; `width` is how many fields they should have.

    Raises CommandFailed where a quoted field seems to contain other rows.
    """
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(
        lines,
        delimiter=form.separator,
        quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        lines.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.number > lines.began or "unexpected end" in str(error):
                raise lines.unclosed() from None
            yield Row(lines.began, (lines.current.rstrip("\r\n"),), problem=f"unreadable: {error}")
            continue
        if width is not None and lines.number > lines.began and holds_rows(fields, form.separator, width):
            raise lines.unclosed()
        if fields:
            yield Row(lines.began, tuple(fields))


def holds_rows(fields: Sequence[str], separator: str, width: int) -> bool:
    """Whether a record of several lines seems to be several rows, joined by a quote that is not closed.

    A row ends and another one begins inside a field: the lines have the separators of whole rows.
    """
    if len(fields) != width:
        return True
    for place, field in enumerate(fields):
        first, *others = [piece.count(separator) for piece in LINE_END.split(field)]
        if not others:
            continue
        *between, last = others
        if any(count >= width - 1 for count in between):
            return True
        if first >= width - 1 - place and last >= place:
            return True
    return False


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says about a file; what is left out is found in it."""

    columns: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The file's own name of a column, where it is not that of COLUMNS."""
    separator: str | None = None
    encoding: str | None = None
    quoted: bool = True
    dates: Dates | None = None
    decimal: DecimalForm | None = None


class Source:
    """An input file, checked; `header`, `dates` and `decimal` are how the whole of it is written."""

    def __init__(self, path: Path, told: Told | None = None) -> None:
        """Raises CommandFailed with the option that settles what the file leaves open."""
        told = told or Told()
        self.path = path
        self._snapshot = Snapshot(path)
        try:
            self._read_form(told)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._snapshot.close()

    @property
    def changed(self) -> bool:
        """Whether the file is no longer the one that was read."""
        return self._snapshot.changed

    @property
    def is_online_retail(self) -> bool:
        """Whether the header is exactly that of the UCI data set."""
        return self.header == COLUMNS

    def rows(self) -> Iterator[Row]:
        """Every row of the file. Empty lines, and rows whose fields are all empty, are none."""
        with closing(self._records(self._format, len(self.header))) as every:
            for row in self._after_header(every):
                if row.fields[0] or any(field.strip() for field in row.fields):
                    yield self._named(row)

    def _read_form(self, told: Told) -> None:
        encoding = encoding_of(self._snapshot, told.encoding)
        self._codec = encoding.codec
        separator, said = self._find_header(told)
        self._format = Format(separator, told.quoted)
        self._places = places(self.header, dict(told.columns), str(self.path))
        dates, decimals, rows = DateColumn(), DecimalColumn(), 0
        for row in self.rows():
            rows += 1
            if row.named is not None:
                dates.see(row.named["InvoiceDate"], row.line)
                decimals.see(row.named["UnitPrice"], row.line)
        if not rows:
            raise CommandFailed(f"{self.path} has a header and no rows; there is nothing to import")
        try:
            self.dates, by_date = dates.settle(told.dates)
            self.decimal, by_price = decimals.settle(told.decimal)
        except CommandFailed as failed:
            raise CommandFailed(f"{self.path}: {failed}") from None
        quotes = "double quotes" if told.quoted else "no quotes"
        self.said = f"{encoding.said}, separator {said}, {quotes}, dates {by_date}, {by_price}, {rows:,} rows"

    def _find_header(self, told: Told) -> tuple[str, str]:
        """The separator with which the header has the columns; without any, the one that finds the most."""
        wanted = {told.columns.get(column, column) for column in COLUMNS}
        declared = self._declared_separator()
        given = told.separator or declared
        found = {}
        for separator in [given] if given else SEPARATORS.values():
            found[separator] = self._header_with(
                Format(separator, told.quoted), declared=declared is not None
            )
        best = max(found, key=lambda it: (len(wanted & set(found[it])), len(found[it])))
        self._header_lines = 2 if declared is not None else 1
        self.header = found[best]
        if len(self.header) == 1 and not wanted & set(self.header):
            tried = "" if given else f" by {', '.join(SEPARATORS)}"
            raise CommandFailed(
                f"{self.path} has no header that is separated{tried}: its first line is "
                f"{self.header[0][:80]!r}; name a CSV file with a header, or say --separator"
            )
        why = "--separator" if told.separator else "as the file declares" if declared else ""
        return best, NAMES.get(best, repr(best)) + (f" ({why})" if why else "")

    def _declared_separator(self) -> str | None:
        """A spreadsheet may write `sep=;` before the header."""
        with self._text() as text:
            first = text.readline(10).rstrip("\r\n")
        return first[4:] if len(first) == 5 and first.lower().startswith("sep=") else None

    def _header_with(self, form: Format, *, declared: bool) -> tuple[str, ...]:
        with closing(self._records(form, None)) as every:
            if declared:
                next(every, None)
            for record in every:
                if any(field.strip() for field in record.fields):
                    return tuple(field.strip() for field in record.fields)
        raise CommandFailed(f"{self.path} is empty; name a CSV file with a header and rows")

    def _after_header(self, every: Iterator[Row]) -> Iterator[Row]:
        left = self._header_lines
        for record in every:
            if left and any(field.strip() for field in record.fields):
                left -= 1
                continue
            yield record

    def _records(self, form: Format, width: int | None) -> Generator[Row]:
        with self._text() as text:
            yield from records(Lines(text, str(self.path)), form, width)

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._snapshot.open(), self._codec, newline="")

    def _named(self, row: Row) -> Row:
        if row.problem:
            return row
        fields, width = row.fields, len(self.header)
        if len(fields) != width:
            return Row(row.line, fields, problem=f"{len(fields)} fields where the header has {width}")
        return Row(row.line, fields, {column: fields[place] for column, place in self._places.items()})


def separator_of(text: str | None) -> str | None:
    """Read `--separator`: a name or the character; raises CommandFailed."""
    if text is None:
        return None
    character = SEPARATORS.get(text.strip().lower(), "\t" if text == r"\t" else text)
    try:
        csv.reader([], delimiter=character)
    except (TypeError, ValueError):
        character = ""
    if len(character) != 1 or character in '"\r\n' or character.isalnum():
        raise CommandFailed(
            f"--separator: {text!r} is neither one of {', '.join(SEPARATORS)} nor one character"
        )
    return character
