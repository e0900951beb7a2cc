"""Query strings: each parameter once, written as its type is, and nothing that is not known."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from gateway.http.texts import normalised
from gateway.http.values import check_of, time_of
from gateway.problems import INVALID, Problem, unfit

Q = TypeVar("Q", bound=msgspec.Struct)
Read = Callable[[str, str], Any]

MOST_PARAMETERS = 20
INTEGER = re.compile("-?[0-9]{1,18}")


class QueryReader(Generic[Q]):
    """Reads the query strings of one route."""

    def __init__(self, asks: type[Q]) -> None:
        info = inspect.type_info(asks)
        assert isinstance(info, inspect.StructType)
        self._asks = asks
        self._reads = {field.encode_name: read_of(field.type) for field in info.fields}
        self._check = check_of(asks)

    def read(self, text: bytes) -> Q:
        """The query string as its type; raises a Problem."""
        given = parameters(text)
        try:
            asked = msgspec.convert(
                {name: self._reads.get(name, as_it_is)(value, name) for name, value in given.items()},
                self._asks,
            )
        except msgspec.ValidationError as error:
            raise unfit(error) from error
        if self._check is not None:
            self._check(asked, "")
        return asked


def parameters(text: bytes) -> dict[str, str]:
    """Each parameter by its name; raises a Problem."""
    try:
        pairs = parse_qsl(
            text.decode("latin-1"),
            keep_blank_values=True,
            strict_parsing=bool(text),
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError as error:
        raise Problem(INVALID, f"the query string cannot be read: {error}") from error
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Problem(INVALID, "a query parameter is given twice")
    for name, value in pairs:
        if not value:
            raise Problem(INVALID, f"{name} is empty; leave it out", field=name)
    return given


def read_of(info: inspect.Type) -> Read:
    """How a parameter of a type is read."""
    match info:
        case inspect.Metadata(type=inner):
            return read_of(inner)
        case inspect.UnionType(types=types):
            return next(read_of(each) for each in types if not isinstance(each, inspect.NoneType))
        case inspect.IntType():
            return integer
        case inspect.BoolType():
            return truth
        case inspect.DateTimeType():
            return time_of
        case _:
            return as_it_is


def integer(text: str, name: str) -> int:
    if INTEGER.fullmatch(text) is None:
        raise Problem(INVALID, f"{name} is a whole number in digits", field=name)
    return int(text)


def truth(text: str, name: str) -> bool:
    if text not in {"true", "false"}:
        raise Problem(INVALID, f"{name} is true or false", field=name)
    return text == "true"


def as_it_is(text: str, _: str) -> str:
    found: str = normalised(text)
    return found
