"""Moments in the past: RFC 3339 with an offset, or positions; nothing else is guessed to be one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from read_models.queries.time_travel import MomentInvalid, parse_time


def test_a_time_is_read_to_the_microsecond() -> None:
    read = parse_time(" 2010-12-31T23:59:59.9999999Z ")
    assert read == datetime(2010, 12, 31, 23, 59, 59, 999_999, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "1700000000",
        "2026-03-01",
        "2026-03-01T14:03:00",
        "2026-03-01 14:03:00Z",
        "20260301T140300Z",
        "2026-W09-7T14:03:00Z",
        "2016-12-31T23:59:60Z",
        "0001-01-01T00:00:00+14:00",
        "9998-12-31T23:59:59Z",
        "yesterday",
        "",
    ],
)
def test_what_is_no_time_that_has_been_is_refused(text: str) -> None:
    with pytest.raises(MomentInvalid):
        parse_time(text)
