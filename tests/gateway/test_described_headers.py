"""What the description says a header looks like is what is read, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.conditions import tags_of
from gateway.http.headers import idempotency_key_of, preferences, tokens_of
from gateway.http.request import RequestContext
from gateway.openapi.headers import REQUEST_HEADERS
from gateway.problems import Problem

FIELD_CONTENT = st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "S", "Zs"]), max_size=40)


def incoming(name: str, value: str) -> RequestContext:
    """A request with one header."""
    headers = [(name.lower().encode(), value.encode("latin-1"))]
    return RequestContext(
        cast("Any", None), cast("Any", {"method": "GET", "headers": headers}), cast("Any", None)
    )


READ: dict[str, Callable[[str], object]] = {
    "Prefer": preferences,
    "Idempotency-Key": lambda text: idempotency_key_of(incoming("Idempotency-Key", text)),
    "If-Match": lambda text: tags_of(incoming("If-Match", text), "If-Match"),
    "Consistency-Token": lambda text: tokens_of(incoming("Consistency-Token", text)),
}


def is_taken(name: str, text: str) -> bool:
    try:
        READ[name](text)
    except Problem:
        return False
    return True


def described(name: str) -> str:
    return str(REQUEST_HEADERS[name]["schema"]["pattern"])


def is_sent(text: str) -> bool:
    """Whether it comes in as it was written: a server takes spaces at both ends away."""
    return text == text.strip() and all(" " <= letter <= "\xff" and letter != "\x7f" for letter in text)


@pytest.mark.parametrize("name", sorted(READ.keys() - {"Prefer"}))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_what_is_described_is_taken(name: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(described(name), re.ASCII), fullmatch=True).filter(is_sent))
    assert is_taken(name, text), text


@pytest.mark.parametrize("name", ["Idempotency-Key", "If-Match"])
@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=FIELD_CONTENT | st.text('W/"*, ;=\\ab1', max_size=12))
def test_what_is_taken_is_described(name: str, text: str) -> None:
    if is_sent(text) and is_taken(name, text):
        assert re.search(described(name), text) is not None, text


@pytest.mark.parametrize("name", ["Prefer", "If-Match"])
@pytest.mark.parametrize("part", ["; ", ", ", "  ", '"', "a;", "a=", ' ; "', ",\t"])
def test_long_nonsense_is_read_in_no_time(name: str, part: str) -> None:
    """A header has up to 64 kB, and no client may keep the gateway busy with it."""
    is_taken(name, part * (60_000 // len(part)) + "\x01")
    is_taken(name, "a" + part * (60_000 // len(part)) + "\x01")
