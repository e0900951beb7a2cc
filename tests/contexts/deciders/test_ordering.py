"""What becomes of an order, what is refused, and what stays quiet."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from contexts.messages import Event
from contexts.ordering.commands import OrderingCommand, PlaceOrder
from contexts.ordering.order_lines import OrderLine, Sale, WantedLine
from contexts.ordering.price_list import KnownCustomer
from tests.contexts.deciders.an_order import (
    EARLIER,
    NOON,
    abandon,
    abandoned,
    accept,
    all_back,
    approve,
    cancel,
    cancellation_refused,
    cancellation_requested,
    cancelled,
    complete,
    completed,
    confirm,
    confirmed,
    delivered,
    dispatched,
    mark_dispatched,
    order,
    place,
    placed,
    receive,
    refuse,
    request,
    requested,
    resume,
    resumed,
    sent,
    terms,
    whole,
    withdraw,
)

# Placing


def test_an_order_is_placed_at_the_prices_of_the_moment() -> None:
    order.when(place, terms).then(placed)


def test_an_imported_order_keeps_its_own_time() -> None:
    order.when(replace(place, placed_at=EARLIER), terms).then(replace(placed, placed_at=EARLIER))


@pytest.mark.parametrize("history", [[placed], [placed, confirmed], [placed, cancelled], delivered])
def test_placing_the_same_order_again_changes_nothing(history: list[Event]) -> None:
    order.given(*history).when(place).then_nothing()
    order.given(*history).when(replace(place, placed_at=NOON)).then_nothing()


@pytest.mark.parametrize(
    "other",
    [
        {"customer_id": "mary"},
        {"payment_method": "tok_decline"},
        {"placed_at": EARLIER},
        {"lines": place.lines[:2]},
        {"lines": (*place.lines[:2], WantedLine(sku="MUG", quantity=3, unit_price=799))},
        {"lines": (*place.lines[:2], WantedLine(sku="MUG", quantity=4, unit_price=800))},
    ],
    ids=lambda it: next(iter(it)),
)
def test_an_order_id_stands_for_one_order(other: dict[str, Any]) -> None:
    order.given(placed).when(replace(place, **other)).then_rejected("42", "other content")


def with_line(sku: str) -> PlaceOrder:
    return replace(place, lines=(*place.lines, WantedLine(sku=sku, quantity=1)))


def test_a_product_that_is_not_listed_cannot_be_ordered() -> None:
    order.when(with_line("JUG"), terms).then_rejected("JUG", "price list")


def test_a_discontinued_product_cannot_be_ordered() -> None:
    order.when(with_line("OLD"), terms).then_rejected("OLD", "discontinued")


def test_an_order_is_in_one_currency() -> None:
    order.when(with_line("POT"), terms).then_rejected("POT", "EUR", "GBP")


def test_an_agreed_price_does_not_make_an_unlisted_product_orderable() -> None:
    agreed = replace(place, lines=(WantedLine(sku="JUG", quantity=1, unit_price=5),))
    order.when(agreed, terms).then_rejected("JUG")


def test_an_unknown_customer_cannot_order() -> None:
    order.when(place, replace(terms, customer=None)).then_rejected("ada", "registered")


def test_a_forgotten_customer_cannot_order() -> None:
    order.when(place, replace(terms, customer=KnownCustomer("GB", forgotten=True))).then_rejected(
        "ada", "forgotten"
    )


def test_a_total_has_a_bound() -> None:
    most = replace(place, lines=(WantedLine(sku="MUG", quantity=1_000, unit_price=10**8),))
    order.when(most, terms).then(
        replace(
            placed,
            lines=(OrderLine(sku="MUG", name="Mug", quantity=1_000, unit_price=10**8),),
            total=10**11,
        )
    )
    more = replace(most, lines=(*most.lines, WantedLine(sku="CUP", quantity=1, unit_price=1)))
    order.when(more, terms).then_rejected("total")


def test_the_units_of_one_product_have_a_bound() -> None:
    many = replace(
        place, lines=(WantedLine(sku="MUG", quantity=1_000_000), WantedLine(sku="MUG", quantity=1))
    )
    order.when(many, terms).then_rejected("MUG", "units")


# Confirming


def test_an_order_is_confirmed_and_counts_as_a_sale() -> None:
    order.given(placed).when(confirm).then(confirmed)


@pytest.mark.parametrize("history", [[placed, confirmed], sent, delivered, all_back])
def test_confirming_again_changes_nothing(history: list[Event]) -> None:
    order.given(*history).when(confirm).then_nothing()


def test_a_cancelled_order_cannot_be_confirmed() -> None:
    order.given(placed, cancelled).when(confirm).then_rejected("confirm", "cancelled")


# Cancelling


def test_an_order_is_cancelled() -> None:
    order.given(placed).when(cancel).then(cancelled)


def test_to_another_customer_there_is_no_such_order() -> None:
    for command in (cancel, request("r1", MUG=1), withdraw("r1")):
        anothers = replace(command, customer_id="somebody-else")
        order.given(placed, confirmed).when(anothers).then_unknown("there is no order 42")
    own = replace(cancel, customer_id=placed.customer_id)
    order.given(placed).when(own).then(cancelled)


def test_cancelling_a_confirmed_order_is_a_request_that_its_shipment_decides() -> None:
    order.given(placed, confirmed).when(cancel).then(cancellation_requested)


def test_cancelling_again_changes_nothing() -> None:
    again = replace(cancel, reason="payment timed out")
    order.given(placed, cancelled).when(again).then_nothing()
    order.given(placed, confirmed, cancellation_requested).when(again).then_nothing()
    order.given(placed, confirmed, cancellation_requested, cancelled).when(again).then_nothing()


refused_by_the_parcel = [placed, confirmed, cancellation_requested, cancellation_refused, dispatched]


@pytest.mark.parametrize("history", [sent, delivered, all_back, refused_by_the_parcel])
def test_what_was_dispatched_cannot_be_cancelled(history: list[Event]) -> None:
    order.given(*history).when(cancel).then_rejected("cancel", "a return is the way")
    order.given(*history).when(approve).then_rejected("cancel")


@pytest.mark.parametrize(
    ("history", "sale"),
    [([placed], None), ([placed, confirmed], whole), ([placed, confirmed, cancellation_requested], whole)],
)
def test_a_cancellation_is_approved_before_the_order_is_dispatched(
    history: list[Event], sale: Sale | None
) -> None:
    order.given(*history).when(approve).then(replace(cancelled, sale=sale))


def test_a_parcel_that_leaves_refuses_the_requested_cancellation() -> None:
    cancelling = [placed, confirmed, cancellation_requested]
    order.given(*cancelling).when(mark_dispatched).then(cancellation_refused, dispatched)


# Abandoning


every_state = pytest.mark.parametrize(
    "history", [[placed], [placed, confirmed], [placed, cancelled], sent, delivered, all_back]
)


@every_state
def test_an_order_is_abandoned_and_resumed(history: list[Event]) -> None:
    order.given(*history).when(abandon).then(abandoned)
    order.given(*history, abandoned).when(abandon).then_nothing()
    order.given(*history, abandoned).when(resume).then(resumed)
    order.given(*history, abandoned, resumed).when(resume).then_nothing()


@every_state
@pytest.mark.parametrize(
    "command",
    [cancel, request("r2", CUP=1), withdraw("r1"), refuse("r1"), receive(), receive("r1")],
    ids=lambda it: type(it).__name__,
)
def test_clients_ask_nothing_of_an_abandoned_order(history: list[Event], command: OrderingCommand) -> None:
    order.given(*history, abandoned).when(command).then_rejected("order 42 is abandoned")


def test_a_resumed_order_goes_on_where_it_was() -> None:
    order.given(placed, abandoned, resumed).when(cancel).then(cancelled)
    order.given(*sent, abandoned, resumed).when(request("r1", CUP=1)).then(requested("r1", 400, CUP=1))


# Dispatching and completing


def test_an_order_is_dispatched() -> None:
    order.given(placed, confirmed).when(mark_dispatched).then(dispatched)


@pytest.mark.parametrize("history", [sent, delivered, all_back])
def test_dispatching_again_changes_nothing(history: list[Event]) -> None:
    order.given(*history).when(mark_dispatched).then_nothing()


@pytest.mark.parametrize("history", [[placed], [placed, cancelled]])
def test_only_a_confirmed_order_is_dispatched(history: list[Event]) -> None:
    order.given(*history).when(mark_dispatched).then_rejected("dispatch")


def test_an_order_is_completed() -> None:
    order.given(*sent).when(complete).then(completed)


@pytest.mark.parametrize("history", [delivered, all_back])
def test_completing_again_changes_nothing(history: list[Event]) -> None:
    order.given(*history).when(complete).then_nothing()


@pytest.mark.parametrize("history", [[placed], [placed, confirmed], [placed, cancelled]])
def test_only_a_dispatched_order_is_completed(history: list[Event]) -> None:
    order.given(*history).when(complete).then_rejected("complete")


@pytest.mark.parametrize(
    "command",
    [
        confirm,
        cancel,
        approve,
        mark_dispatched,
        complete,
        request("r1", CUP=1),
        withdraw("r1"),
        refuse("r1"),
        receive(),
        receive("r1"),
        accept("r1"),
        abandon,
        resume,
    ],
    ids=lambda it: type(it).__name__,
)
def test_an_order_that_was_never_placed_is_unknown(command: OrderingCommand) -> None:
    order.when(command).then_unknown("42")
