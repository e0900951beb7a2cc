"""Ordering on a real store: orders are placed on the price list it keeps from what it receives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from contexts.catalog.events import ProductDiscontinued, ProductReinstated, ProductRepriced
from contexts.customers.events import AddressChanged, CustomerForgotten
from contexts.ordering.commands import CancelOrder, PlaceOrder
from contexts.ordering.events import OrderPlaced
from contexts.ordering.order_lines import WantedLine
from contexts.ordering.service import context
from infra.messages.commands import RefusalKind, Refused
from infra.settings import Settings
from tests.support.at_work import AtWork, at_work
from tests.support.examples import ADA, ada_registered, mug_added


def place(order_id: str = "42") -> PlaceOrder:
    lines = (WantedLine(sku="MUG", quantity=2),)
    return PlaceOrder(order_id=order_id, customer_id="ada", lines=lines, payment_method="tok_approve")


async def placed(ordering: AtWork, order_id: str) -> OrderPlaced:
    (event,) = await ordering.events(f"order-{order_id}")
    assert isinstance(event, OrderPlaced)
    return event


@pytest.fixture
async def ordering(sqlite_store: str) -> AsyncIterator[AtWork]:
    """Ordering, having heard of one product and one customer."""
    async with at_work(context(Settings()), sqlite_store) as running:
        await running.hear("catalog", "product-MUG", mug_added)
        await running.hear("customers", "customer-ada", ada_registered)
        yield running


async def test_an_order_is_placed_at_the_listed_price(ordering: AtWork) -> None:
    before = datetime.now(UTC)
    await ordering.accept(place())
    event = await placed(ordering, "42")
    assert (event.total, event.currency, event.country) == (1900, "GBP", "GB")
    assert before <= event.placed_at <= datetime.now(UTC)


async def test_a_new_price_is_for_new_orders(ordering: AtWork) -> None:
    """A repeated order keeps the price it was placed at."""
    await ordering.accept(place("1"))
    await ordering.hear("catalog", "product-MUG", ProductRepriced(sku="MUG", unit_price=1000))
    await ordering.accept(place("1"))
    await ordering.accept(place("2"))
    assert (await placed(ordering, "1")).total == 1900
    assert (await placed(ordering, "2")).total == 2000


async def test_facts_of_one_batch_build_on_each_other(ordering: AtWork) -> None:
    await ordering.hear(
        "catalog",
        "product-MUG",
        ProductRepriced(sku="MUG", unit_price=5),
        ProductDiscontinued(sku="MUG"),
        ProductReinstated(sku="MUG"),
    )
    await ordering.accept(place())
    assert (await placed(ordering, "42")).total == 10


async def test_a_discontinued_product_cannot_be_ordered(ordering: AtWork) -> None:
    await ordering.hear("catalog", "product-MUG", ProductDiscontinued(sku="MUG"))
    assert "MUG is discontinued" in await ordering.refuse(place())
    assert await ordering.events("order-42") == []


async def test_an_order_carries_the_country_of_its_moment(ordering: AtWork) -> None:
    moved = AddressChanged(customer_id="ada", country="FR", personal=ADA)
    await ordering.accept(place("1"))
    await ordering.hear("customers", "customer-ada", moved)
    await ordering.accept(place("2"))
    assert [(await placed(ordering, order_id)).country for order_id in ("1", "2")] == ["GB", "FR"]


async def test_a_forgotten_customer_cannot_order(ordering: AtWork) -> None:
    await ordering.hear("customers", "customer-ada", CustomerForgotten(customer_id="ada"))
    assert "ada has been forgotten" in await ordering.refuse(place())


async def test_the_price_list_holds_nothing_that_identifies_a_person(ordering: AtWork) -> None:
    notes = await ordering.store.notes("customer")
    assert notes == {"ada": b'{"country":"GB","forgotten":false}'}


async def test_an_unheard_of_product_cannot_be_ordered(sqlite_store: str) -> None:
    async with at_work(context(Settings()), sqlite_store) as ordering:
        await ordering.hear("customers", "customer-ada", ada_registered)
        assert "MUG is not on the price list" in await ordering.refuse(place())


@pytest.mark.parametrize("expected", [None, 0, 1, 7])
async def test_no_version_tells_a_customer_that_there_is_anothers_order(
    ordering: AtWork, expected: int | None
) -> None:
    """Nor may the answer be another one where there is no order at all."""
    await ordering.accept(place("42"))
    answers = []
    for order_id in ("42", "43"):
        cancel = CancelOrder(order_id=order_id, reason="curious", customer_id="eve")
        answer = await ordering.send(cancel, expected_version=expected)
        assert isinstance(answer, Refused)
        answers.append((answer.kind, answer.rule.replace(order_id, "it"), answer.version))
    assert answers == [(RefusalKind.UNKNOWN, "there is no order it", 0)] * 2


@pytest.mark.parametrize("expected", [None, 0, 1, 7])
async def test_an_id_that_somebody_else_has_taken_is_no_more_than_that(
    ordering: AtWork, expected: int | None
) -> None:
    await ordering.accept(place("42"))
    answer = await ordering.send(replace(place("42"), customer_id="eve"), expected_version=expected)
    taken = Refused(RefusalKind.REJECTED, "order 42 was placed with other content")
    assert answer == taken


async def test_a_customers_own_order_is_told_to_stand_elsewhere(ordering: AtWork) -> None:
    await ordering.accept(place("42"))
    cancel = CancelOrder(order_id="42", reason="changed my mind", customer_id="ada")
    answer = await ordering.send(cancel, expected_version=7)
    assert isinstance(answer, Refused)
    assert (answer.kind, answer.version) == (RefusalKind.STALE, 1)
