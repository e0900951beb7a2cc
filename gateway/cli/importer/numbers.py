"""Numbers as a file writes them: whether a comma or a point is decimal is decided by the whole column."""

from __future__ import annotations

import re
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

import msgspec

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.dates import Seen

WHOLE = re.compile(r"[+-]?[0-9]+")
POINT = re.compile(r"[+-]?(?:(?:[0-9]+|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.[0-9]+)?|\.[0-9]+)")
COMMA = re.compile(r"[+-]?(?:(?:[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3})+)(?:,[0-9]+)?|,[0-9]+)")
"""ASCII digits alone: no exponent, no underscore, no digits of other scripts, no currency sign."""
LONGEST = 40


class DecimalForm(StrEnum):
    """Which character comes before the decimals; the other one may set thousands apart."""

    POINT = "point"
    COMMA = "comma"


class DecimalColumn(msgspec.Struct):
    """What a whole column shows about its decimal character."""

    first: dict[str, Seen] = msgspec.field(default_factory=dict)
    """The first value that only one form allows, and the first that has two meanings."""

    def see(self, text: str, line: int) -> None:
        """Take in one value."""
        form = form_of(text) if len(text) <= LONGEST else ""
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


SETTLE = "say --decimal point or --decimal comma"


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
    if len(trimmed) > LONGEST or not allowed.fullmatch(trimmed):
        return None
    if form is DecimalForm.COMMA:
        trimmed = trimmed.replace(".", "").replace(",", ".")
    return Decimal(trimmed.replace(",", ""))


def whole(text: str) -> int | None:
    """The whole number that a text says, in ASCII digits; None if it says none."""
    trimmed = text.strip()
    return int(trimmed) if len(trimmed) <= LONGEST and WHOLE.fullmatch(trimmed) else None
