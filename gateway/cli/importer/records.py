"""The records of a CSV text with the physical lines they stand on; a quote that is not closed is an error."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import TextIO

import msgspec

from gateway.cli.errors import CommandFailed

LONGEST_LINE = 1_000_000
LONGEST_FIELD = 10_000
"""Characters."""
MOST_LINES = 100
"""Lines of one record: more are a quote that is not closed."""
LINE_END = re.compile(r"\r\n|\r|\n")


class Format(msgspec.Struct, frozen=True):
    """How fields are told apart; `quoted` is whether double quotes mean anything."""

    separator: str
    quoted: bool


class Record(msgspec.Struct, frozen=True):
    """A record with the physical line it begins on, counted from 1; `problem` if it is unreadable."""

    line: int
    fields: tuple[str, ...]
    problem: str = ""


class Lines:
    """The physical lines of a text, counted, for one record after the other."""

    def __init__(self, text: TextIO, file: str) -> None:
        self._text = text
        self._file = file
        self.number = 0
        self.began = 1
        self.current = ""

    def begin(self) -> None:
        """The next line begins a record."""
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


def records(lines: Lines, form: Format, width: int | None = None) -> Iterator[Record]:
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
            yield Record(lines.began, (lines.current.rstrip("\r\n"),), f"unreadable: {error}")
            continue
        if width is not None and lines.number > lines.began and holds_rows(fields, form.separator, width):
            raise lines.unclosed()
        if fields:
            yield Record(lines.began, tuple(fields))


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
