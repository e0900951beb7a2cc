"""The columns an import needs: where a file has them, and how it writes their dates and numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from gateway.cli.errors import CommandFailed
from gateway.http.codes import MINOR_UNITS

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
NEXT_PAIR = re.compile(rf",\s*(?=(?:{'|'.join(COLUMNS)})\s*=)")
"""Where one `--column` value goes on to the next column; a comma inside a header's name is none."""
MOST_SHOWN = 40
TIME = (
    r"(?:(?: {1,3}|T)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?:[ ]?([AaPp])[Mm])?[ ]?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
YEAR_FIRST = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})" + TIME)
YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})" + TIME)
LONGEST_DATE = 50
"""Characters of a date."""
LARGEST_MONTH = 12
LARGEST_DAY = 31
NOON = 12
FIRST_OF_1900S = 69
"""A year of two digits from this one on is in the 1900s, as in POSIX."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9998, 12, 31, tzinfo=UTC)
"""The API takes moments of the years 1970 to 9998; at the very edge an offset would lead out of them."""
WHOLE = re.compile(r"[+-]?[0-9]+")
POINT = re.compile(r"[+-]?(?:(?:[0-9]+|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.[0-9]+)?|\.[0-9]+)")
COMMA = re.compile(r"[+-]?(?:(?:[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3})+)(?:,[0-9]+)?|,[0-9]+)")
"""ASCII digits alone: no exponent, no underscore, no digits of other scripts, no currency sign."""
LONGEST_NUMBER = 40
SETTLE = "say --decimal point or --decimal comma"


def column_names(given: Iterable[str]) -> dict[str, str]:
    """Read `--column`: `InvoiceNo=Invoice`, or several with commas; raises CommandFailed."""
    names: dict[str, str] = {}
    for pair in (pair for text in given for pair in NEXT_PAIR.split(text)):
        column, equals, name = (part.strip() for part in pair.partition("="))
        if column not in COLUMNS or not equals or not name:
            raise CommandFailed(
                f"--column: {pair!r} is not COLUMN=HEADER with a column of {', '.join(COLUMNS)}"
            )
        if column in names:
            raise CommandFailed(f"--column: {column} is given twice: {names[column]!r} and {name!r}")
        names[column] = name
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        both = ", ".join(column for column, name in names.items() if name == twice[0])
        raise CommandFailed(f"--column: {twice[0]!r} is given for two columns: {both}")
    return names


def places(header: Sequence[str], names: dict[str, str], file: str) -> dict[str, int]:
    """Where each column stands in the file; raises CommandFailed on one that is missing or there twice."""
    wanted = {column: names.get(column, column) for column in COLUMNS}
    shared = [name for name, count in Counter(wanted.values()).items() if count > 1]
    if shared:
        both = " and ".join(column for column, name in wanted.items() if name == shared[0])
        raise CommandFailed(f"--column: {shared[0]!r} would be {both}; give each its own header")
    missing = [name for name in wanted.values() if name not in header]
    if missing:
        raise CommandFailed(
            f"{file} lacks the column {', '.join(missing)}; its header has {shown(header)}; "
            "--column says what a column is called there, as in --column UnitPrice=Price"
        )
    twice = [name for name in wanted.values() if header.count(name) > 1]
    if twice:
        raise CommandFailed(
            f"{file} has the column {twice[0]!r} {header.count(twice[0])} times; "
            "rename those that are not meant"
        )
    return {column: header.index(name) for column, name in wanted.items()}


def shown(header: Sequence[str]) -> str:
    """A header in a message, shortened."""
    named = [repr(name[:MOST_SHOWN]) for name in header[:MOST_SHOWN]]
    return ", ".join(named) + (f" and {len(header) - MOST_SHOWN} more" if len(header) > MOST_SHOWN else "")


class Dates(StrEnum):
    """In which order the parts of a date stand."""

    ISO = "iso"
    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


SAID = {Dates.ISO: "year first", Dates.DAY_FIRST: "day first", Dates.MONTH_FIRST: "month first"}


class Seen(msgspec.Struct, frozen=True):
    """A value and the line it stands on."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.text!r} in line {self.line}"


class DateColumn(msgspec.Struct):
    """What a whole column shows about the order of its dates."""

    first: dict[str, Seen] = msgspec.field(default_factory=dict)
    """The first value of each shape."""

    def see(self, text: str, line: int) -> None:
        shape = shape_of(text) if len(text) <= LONGEST_DATE else ""
        if shape and shape not in self.first:
            self.first[shape] = Seen(line, text)

    def settle(self, given: Dates | None) -> tuple[Dates, str]:
        """The order, and by what it was decided; raises CommandFailed if the column does not decide it."""
        if given is not None:
            return given, f"{SAID[given]} (--dates {given})"
        shown = self.first
        last = [shown[shape] for shape in ("day", "month", "either", "same") if shape in shown]
        if "iso" in shown and last:
            raise ambiguous(f"dates are written as {shown['iso']} and as {last[0]}")
        if "short" in shown:
            raise ambiguous(f"the year of {shown['short']} has two digits")
        if "day" in shown and "month" in shown:
            raise ambiguous(f"day and month change places between {shown['day']} and {shown['month']}")
        if "day" in shown:
            return Dates.DAY_FIRST, f"{SAID[Dates.DAY_FIRST]} (as in {shown['day']})"
        if "month" in shown:
            return Dates.MONTH_FIRST, f"{SAID[Dates.MONTH_FIRST]} (as in {shown['month']})"
        if "either" in shown:
            raise ambiguous(f"no date tells the day from the month: {shown['either']} may be both")
        if "same" in shown:
            return Dates.DAY_FIRST, "day and month the same"
        return Dates.ISO, SAID[Dates.ISO]


def ambiguous(what: str) -> CommandFailed:
    """What the column leaves open, with the option that settles it."""
    return CommandFailed(
        f"{what}; say --dates dmy (day first), --dates mdy (month first) or --dates iso (year first)"
    )


@lru_cache(maxsize=10_000)
def shape_of(text: str) -> str:
    """What a value shows: its year stands first, its day, its month, or it may be read in two ways."""
    trimmed = text.strip()
    if YEAR_FIRST.fullmatch(trimmed):
        return "iso"
    found = YEAR_LAST.fullmatch(trimmed)
    if found is None:
        return ""
    one, other = int(found[1]), int(found[3])
    if max(one, other) > LARGEST_DAY or min(one, other) > LARGEST_MONTH:
        return ""
    if len(found[4]) == 2:
        return "short"
    if max(one, other) > LARGEST_MONTH:
        return "day" if one > other else "month"
    return "same" if one == other else "either"


def instant(text: str, dates: Dates, zone: ZoneInfo | timezone) -> datetime:
    """The moment, in UTC, that a value says; raises ValueError with what is wrong with it.

    Without an offset of its own it is in `zone`.
    """
    try:
        moment = _moment(text.strip(), dates, zone)
    except OverflowError:
        raise ValueError("is outside the years 1970 to 9998") from None
    if not EARLIEST <= moment < LATEST:
        raise ValueError("is outside the years 1970 to 9998")
    return moment


def _moment(text: str, dates: Dates, zone: ZoneInfo | timezone) -> datetime:
    found = (YEAR_FIRST if dates is Dates.ISO else YEAR_LAST).fullmatch(text)
    if found is None or len(text) > LONGEST_DATE:
        raise ValueError(f"is not written {SAID[dates]}")
    one, other, last = found[1], found[3], found[4]
    year, month, day = {
        Dates.ISO: (one, other, last),
        Dates.DAY_FIRST: (last, other, one),
        Dates.MONTH_FIRST: (last, one, other),
    }[dates]
    hour, minute, second, fraction, half, offset = found.groups()[4:]
    try:
        local = datetime(  # noqa: DTZ001 - the offset comes below
            _year(year),
            int(month),
            int(day),
            _hour(int(hour or 0), half),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]),
        )
    except ValueError:
        raise ValueError("is no date of the calendar") from None
    if offset:
        return (local - _offset(offset)).replace(tzinfo=UTC)
    placed = local.replace(tzinfo=zone)
    if placed.utcoffset() != placed.replace(fold=1).utcoffset():
        raise ValueError(
            f"is there twice or not at all in {zone}, where clocks are changed; it needs an offset"
        )
    return placed.astimezone(UTC)


def _year(text: str) -> int:
    if len(text) == 4:
        return int(text)
    return int(text) + (1900 if int(text) >= FIRST_OF_1900S else 2000)


def _hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= NOON:
        raise ValueError
    return hour % NOON + (NOON if half in "Pp" else 0)


def _offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 15 or minutes > 59:
        raise ValueError("has no offset that there is")
    size = timedelta(hours=hours, minutes=minutes)
    return -size if text[0] == "-" else size


class DecimalForm(StrEnum):
    """Which character comes before the decimals; the other one may set thousands apart."""

    POINT = "point"
    COMMA = "comma"


class DecimalColumn(msgspec.Struct):
    """What a whole column shows about its decimal character."""

    first: dict[str, Seen] = msgspec.field(default_factory=dict)
    """The first value that only one form allows, and the first that has two meanings."""

    def see(self, text: str, line: int) -> None:
        form = form_of(text) if len(text) <= LONGEST_NUMBER else ""
        if form and form not in self.first:
            self.first[form] = Seen(line, text)

    def settle(self, given: DecimalForm | None) -> tuple[DecimalForm, str]:
        """The form, and by what it was decided; raises CommandFailed if the column does not decide it."""
        if given is not None:
            return given, f"decimal {given} (--decimal {given})"
        point, comma, either = (self.first.get(form) for form in ("point", "comma", "either"))
        if point and comma:
            raise CommandFailed(f"prices are written as {point} and as {comma}; {SETTLE}")
        if point:
            return DecimalForm.POINT, f"decimal point (as in {point})"
        if comma:
            return DecimalForm.COMMA, f"decimal comma (as in {comma})"
        if either:
            raise CommandFailed(f"no price tells thousands from decimals: {either} may be both; {SETTLE}")
        return DecimalForm.POINT, "whole prices"


@lru_cache(maxsize=10_000)
def form_of(text: str) -> str:
    """Which form a value has: one, either of them with two meanings, or none that matters."""
    trimmed = text.strip()
    if WHOLE.fullmatch(trimmed):
        return ""
    point, comma = POINT.fullmatch(trimmed), COMMA.fullmatch(trimmed)
    if point and comma:
        return "either"
    if point:
        return "point"
    return "comma" if comma else ""


def decimal(text: str, form: DecimalForm) -> Decimal | None:
    """The number that a text says in a form; None if it says none."""
    trimmed = text.strip()
    allowed = POINT if form is DecimalForm.POINT else COMMA
    if len(trimmed) > LONGEST_NUMBER or not allowed.fullmatch(trimmed):
        return None
    if form is DecimalForm.COMMA:
        trimmed = trimmed.replace(".", "").replace(",", ".")
    return Decimal(trimmed.replace(",", ""))


def whole(text: str) -> int | None:
    """The whole number that a text says, in ASCII digits; None if it says none."""
    trimmed = text.strip()
    return int(trimmed) if len(trimmed) <= LONGEST_NUMBER and WHOLE.fullmatch(trimmed) else None


def minor_digits(currency: str) -> int:
    return MINOR_UNITS[currency]


def minor_units(price: Decimal, digits: int) -> tuple[int, bool]:
    """A price in minor units, and whether it had to be rounded (half up) for that."""
    scaled = price.scaleb(digits)
    rounded = scaled.to_integral_value(ROUND_HALF_UP)
    return int(rounded), rounded != scaled


def in_major_units(amount: int, digits: int) -> str:
    """Minor units as people write them: 123456 → `1,234.56`."""
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f}"
