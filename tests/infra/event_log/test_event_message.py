"""An event survives the way through subject and headers unchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.messages.event_headers import Delivered, delivered, headers_of, subject_of
from infra.messages.events import Metadata, Recorded
from infra.nats.connection import Connection

text = st.text(max_size=60)
metadata = st.builds(
    Metadata,
    time=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))])),
    causation_id=text,
    correlation_id=text,
    actor=text,
    traceparent=text,
)


@given(metadata)
def test_whatever_the_metadata_says_arrives(metadata: Metadata) -> None:
    event = Recorded(7, "order-a_B-9", 3, "ordering.OrderPlaced", b'{"x":1}', metadata, 5)
    headers = headers_of(event, 4)
    wire = "".join(f"{name}: {value.strip()}\r\n" for name, value in headers.items()).encode() + b"\r\n"
    assert delivered(
        "ordering", subject_of("ordering", event), Connection._parse_header_lines(wire), event.data, 70
    ) == Delivered("ordering", 7, 4, 5, "order-a_B-9", 3, "ordering.OrderPlaced", b'{"x":1}', metadata, 70)


def test_a_plain_value_stays_readable_in_its_header() -> None:
    metadata = Metadata(
        time=datetime(2025, 1, 1, tzinfo=UTC),
        causation_id="order-42@1",
        correlation_id="a b",
        actor="saga: x",
    )
    headers = headers_of(Recorded(1, "order-1", 1, "ordering.OrderPlaced", b"{}", metadata, 0), 0)
    assert (headers["Causation-Id"], headers["Correlation-Id"], headers["Actor"]) == (
        "order-42@1",
        "a b",
        "saga: x",
    )
    assert "traceparent" not in headers


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        ("ev.ordering.1", {"Es-Id": "order-1@1", "Es-Pos": "1", "Es-Prev": "0", "Es-Stream-Version": "1"}),
        ("ev.ordering.1.OrderPlaced", {"Es-Id": "order-1@1", "Es-Pos": "1"}),
        ("ev.ordering.1.OrderPlaced", {"Es-Pos": "1", "Es-Prev": "0", "Es-Stream-Version": "1"}),
        ("ev.ordering.x.OrderPlaced", {"Es-Id": "order-1@1", "Es-Pos": "1", "Es-Prev": "0"}),
    ],
)
def test_a_message_that_is_no_event_is_told_apart(subject: str, headers: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        delivered("ordering", subject, headers, b"{}", 1)
