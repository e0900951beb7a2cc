"""What the values of bodies and query strings must be beyond their types: the one place for these rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, inspect

from gateway.http.codes import COUNTRIES, MINOR_UNITS, fault_of_country, fault_of_currency
from gateway.http.texts import fault_of
from gateway.problems import INVALID, Problem
from infra.messages.timestamps import instant

Check = Callable[[Any, str], None]
"""Raises a Problem that names the place."""

TimeText = Annotated[str, Meta(max_length=64, extra_json_schema={"format": "date-time"})]
"""A time in a body: read by `infra.messages.timestamps`, and not by the decoder, which would round it."""

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+"
LABEL = r"[A-Za-z0-9\u00a1-\U0010ffff](?:[A-Za-z0-9\u00a1-\U0010ffff-]{0,61}[A-Za-z0-9\u00a1-\U0010ffff])?"
MAILBOX = rf"{ATOM}(?:\.{ATOM})*@(?:{LABEL}\.)+(?![0-9]+$){LABEL}"
"""RFC 5321 without quoted local parts and address literals, with letters of all scripts (RFC 6531)."""
_MAILBOX = re.compile(MAILBOX)
LONGEST_LOCAL_PART, LONGEST_MAILBOX = 64, 254
"""Bytes."""


def fault_of_mailbox(text: str) -> str | None:
    """Why it is refused; None if it can be an e-mail address."""
    local = text.rpartition("@")[0]
    if len(local.encode()) > LONGEST_LOCAL_PART or len(text.encode()) > LONGEST_MAILBOX:
        return f"an e-mail address has at most {LONGEST_LOCAL_PART} bytes before @, {LONGEST_MAILBOX} in all"
    return fault_of(text) if _MAILBOX.fullmatch(text) else "it is no e-mail address, such as ada@example.org"


RULES: dict[str, Callable[[str], str | None]] = {
    "iso-3166-1-alpha-2": fault_of_country,
    "iso-4217": fault_of_currency,
    "mailbox": fault_of_mailbox,
}
"""By the format that a type names."""

DESCRIBED: dict[str, dict[str, Any]] = {
    "iso-3166-1-alpha-2": {"enum": sorted(COUNTRIES)},
    "iso-4217": {"enum": sorted(MINOR_UNITS)},
    "mailbox": {"pattern": "^" + MAILBOX.replace(r"\U0010ffff", r"\uffff") + "$"},
}
"""The same for the API's description."""


def refused(reason: str, place: str) -> Problem:
    return Problem(INVALID, f"{reason} at {place}", field=place)


def time_of(text: str, place: str) -> datetime:
    """The time a text names; raises a Problem."""
    try:
        return instant(text)
    except ValueError as error:
        raise refused(str(error), place) from None


def check_of(kind: Any) -> Check | None:
    """What checks a value of a type; None if the type itself says it all."""
    return _check(inspect.type_info(kind))


def _check(info: inspect.Type) -> Check | None:
    match info:
        case inspect.Metadata(type=inner, extra_json_schema=described):
            rule = RULES.get((described or {}).get("format", ""))
            return _check(inner) if rule is None else by(rule)
        case inspect.StrType(pattern=None):
            return by(fault_of)
        case inspect.StructType(fields=fields):
            checks = [(field.name, field.encode_name, _check(field.type)) for field in fields]
            return of_fields([(name, shown, check) for name, shown, check in checks if check is not None])
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            check = _check(item)
            return None if check is None else of_items(check)
        case inspect.UnionType(types=types):
            # Beside None and UNSET there is one.
            return next((check for check in map(_check, types) if check is not None), None)
        case _:
            return None


def by(rule: Callable[[str], str | None]) -> Check:
    def check(value: Any, place: str) -> None:
        if isinstance(value, str):
            fault = rule(value)
            if fault is not None:
                raise refused(fault, place)

    return check


def of_fields(checks: Iterable[tuple[str, str, Check]]) -> Check | None:
    known = tuple(checks)
    if not known:
        return None

    def check(value: Any, place: str) -> None:
        if isinstance(value, msgspec.Struct):
            for name, shown, each in known:
                each(getattr(value, name), f"{place}.{shown}" if place else shown)

    return check


def of_items(each: Check) -> Check:
    def check(value: Any, place: str) -> None:
        for number, item in enumerate(value or ()):
            each(item, f"{place}[{number}]")

    return check
