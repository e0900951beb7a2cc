"""Bodies of requests: JSON whose names are each said once, with texts in one normalisation form."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from gateway.http.texts import normalised
from gateway.problems import MALFORMED, Problem, unfit


def decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """The body as its type; raises a Problem."""
    try:
        if body.isascii() and b"\\u" not in body:
            found = decoder.decode(body)
        else:
            # Lengths and forms are those of the normalised texts.
            found = msgspec.convert(normalised(msgspec.json.decode(body)), decoder.type)
        refuse_repeated_names(body)
    except msgspec.ValidationError as error:
        raise unfit(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(MALFORMED, f"the body is no JSON: {error}") from error
    return found


def refuse_repeated_names(body: bytes) -> None:
    """Raise a Problem if an object of the body has two members of one name (RFC 7493, section 2.3)."""
    try:
        _names.decode(body.decode())
    except ValueError as error:
        # Such as a number that is too long for Python, in a member that means nothing here.
        raise Problem(MALFORMED, f"the body is no JSON: {error}") from error


def _only_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        refuse_repetition([name for name, _ in members])
    return found


def refuse_repetition(names: list[str]) -> NoReturn:
    name = next(name for name in names if names.count(name) > 1)
    raise Problem(MALFORMED, f"the member {name} is there twice", field=name)


_names = json.JSONDecoder(object_pairs_hook=_only_once)
