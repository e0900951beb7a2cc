"""Limits that hold together: as many lines as may be, with names as long as may be, still travel."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from contexts.fulfilment.events import Stage, StepTaken
from contexts.inventory.commands import ReserveStock
from contexts.messages import MAX_LINES, Units
from contexts.ordering.events import OrderPlaced
from contexts.ordering.order_lines import OrderLine, WantedLine
from gateway.http.request import MAX_BODY
from infra.runtime.session import LARGEST_COMMANDED_EVENT, LARGEST_EVENT, EventTooLarge

MOST_UNITS, HIGHEST_PRICE = 1_000_000, 10**11
SKUS = [f"{number:064}" for number in range(MAX_LINES)]


def placed(name: str) -> OrderPlaced:
    """An order with as many lines as there may be, each as long as its name allows."""
    lines = tuple(
        OrderLine(sku=sku, name=name, quantity=MOST_UNITS, unit_price=HIGHEST_PRICE) for sku in SKUS
    )
    return OrderPlaced(
        order_id="x" * 64,
        customer_id="x" * 64,
        country="GB",
        lines=lines,
        total=HIGHEST_PRICE,
        currency="GBP",
        payment_method="x" * 64,
        placed_at=datetime(2026, 3, 1, 14, 3, 0, 123456, UTC),
    )


def test_as_many_lines_as_may_be_fit_into_a_body() -> None:
    lines = [WantedLine(sku=sku, quantity=MOST_UNITS, unit_price=HIGHEST_PRICE) for sku in SKUS]
    assert len(msgspec.json.encode(lines)) + 1_000 < MAX_BODY


def test_the_longest_order_fits_into_an_event_and_with_its_reservation_into_the_sagas() -> None:
    order = placed("x" * 200)
    reserve = ReserveStock(
        order_id=order.order_id, lines=tuple(Units(sku=sku, quantity=MOST_UNITS) for sku in SKUS)
    )
    step = StepTaken(order_id=order.order_id, heard=order, stage=Stage.RESERVING, commands=(reserve,))
    assert len(msgspec.json.encode(order)) <= LARGEST_COMMANDED_EVENT
    assert len(msgspec.json.encode(step)) + 1_000 <= LARGEST_EVENT


def test_an_event_that_is_too_large_names_its_largest_field() -> None:
    """Letters of more than one byte may be too much: then it is said what is."""
    error = EventTooLarge("ordering.OrderPlaced", placed("名" * 200), LARGEST_COMMANDED_EVENT)
    assert error.field == "lines"
    with pytest.raises(EventTooLarge, match=r"bytes, 1,[0-9,]+ of them in lines; 670,000 are the most"):
        raise error
