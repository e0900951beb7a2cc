"""What becomes of an order, what is refused, and what stays quiet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from contexts.messages import Event
from contexts.ordering.commands import (
    AcceptReturn,
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    MarkDispatched,
    OrderingCommand,
    PlaceOrder,
    RequestReturn,
)
from contexts.ordering.decider import decide, evolve
from contexts.ordering.events import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderPlaced,
    ReturnAccepted,
    ReturnRequested,
)
from contexts.ordering.order_lines import OrderLine, ReturnLine, Sale, WantedLine
from contexts.ordering.price_list import KnownCustomer, ListedProduct, Terms
from tests.spec import Spec

order = Spec(None, decide, evolve)

NOON = datetime(2010, 12, 1, 12, tzinfo=UTC)
EARLIER = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)

terms = Terms(
    products={
        "MUG": ListedProduct("Mug", 950, "GBP"),
        "CUP": ListedProduct("Cup", 400, "GBP"),
        "POT": ListedProduct("Pot", 2000, "EUR"),
        "OLD": ListedProduct("Old jug", 100, "GBP", discontinued=True),
    },
    customer=KnownCustomer("GB"),
    time=NOON,
)

place = PlaceOrder(
    order_id="42",
    customer_id="ada",
    lines=(
        WantedLine(sku="MUG", quantity=2),
        WantedLine(sku="CUP", quantity=1),
        WantedLine(sku="MUG", quantity=3, unit_price=800),
    ),
    payment_method="tok_approve",
)
placed = OrderPlaced(
    order_id="42",
    customer_id="ada",
    country="GB",
    lines=(
        OrderLine(sku="MUG", name="Mug", quantity=2, unit_price=950),
        OrderLine(sku="CUP", name="Cup", quantity=1, unit_price=400),
        OrderLine(sku="MUG", name="Mug", quantity=3, unit_price=800),
    ),
    total=4700,
    currency="GBP",
    payment_method="tok_approve",
    placed_at=NOON,
)
whole = Sale(placed_at=NOON, country="GB", currency="GBP", orders=1, units=6, amount=4700)
confirm = ConfirmOrder(order_id="42")
confirmed = OrderConfirmed(order_id="42", sale=whole)
cancel = CancelOrder(order_id="42", reason="changed my mind")
cancelled = OrderCancelled(order_id="42", reason="changed my mind")
mark_dispatched = MarkDispatched(order_id="42", carrier="Royal Mail", tracking="RM1")
dispatched = OrderDispatched(order_id="42", carrier="Royal Mail", tracking="RM1")
complete = CompleteOrder(order_id="42")
completed = OrderCompleted(order_id="42")


def lines(**units: int) -> tuple[ReturnLine, ...]:
    return tuple(ReturnLine(sku=sku, quantity=quantity) for sku, quantity in units.items())


def request(return_id: str, **units: int) -> RequestReturn:
    return RequestReturn(order_id="42", return_id=return_id, lines=lines(**units), reason="chipped")


def requested(return_id: str, refund: int, **units: int) -> ReturnRequested:
    return ReturnRequested(
        order_id="42",
        return_id=return_id,
        lines=lines(**units),
        reason="chipped",
        refund=refund,
        currency="GBP",
    )


def accept(return_id: str) -> AcceptReturn:
    return AcceptReturn(order_id="42", return_id=return_id)


def accepted(return_id: str, refund: int, *, all_back: bool = False, **units: int) -> ReturnAccepted:
    sale = replace(whole, orders=1 if all_back else 0, units=sum(units.values()), amount=refund)
    return ReturnAccepted(
        order_id="42", return_id=return_id, lines=lines(**units), refund=refund, sale=sale, whole=all_back
    )


sent = [placed, confirmed, dispatched]
delivered = [*sent, completed]
all_back = [
    *delivered,
    requested("r1", 4700, CUP=1, MUG=5),
    accepted("r1", 4700, all_back=True, CUP=1, MUG=5),
]

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
    for command in (cancel, request("r1", MUG=1)):
        anothers = replace(command, customer_id="somebody-else")
        order.given(placed, confirmed).when(anothers).then_unknown("there is no order 42")
    own = replace(cancel, customer_id=placed.customer_id)
    order.given(placed).when(own).then(cancelled)


def test_cancelling_a_confirmed_order_takes_the_sale_back() -> None:
    order.given(placed, confirmed).when(cancel).then(replace(cancelled, sale=whole))


def test_cancelling_again_changes_nothing() -> None:
    order.given(placed, cancelled).when(replace(cancel, reason="payment timed out")).then_nothing()


@pytest.mark.parametrize("history", [sent, delivered, all_back])
def test_what_was_dispatched_cannot_be_cancelled(history: list[Event]) -> None:
    order.given(*history).when(cancel).then_rejected("cancel")


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


# Returning


@pytest.mark.parametrize("history", [sent, delivered])
def test_a_return_is_requested_for_what_the_units_were_sold_for(history: list[Event]) -> None:
    order.given(*history).when(request("r1", CUP=1)).then(requested("r1", 400, CUP=1))


def test_units_sold_at_several_prices_go_back_in_the_order_of_the_lines() -> None:
    order.given(*sent).when(request("r1", MUG=3)).then(requested("r1", 2 * 950 + 800, MUG=3))
    order.given(*sent, requested("r1", 950, MUG=1)).when(request("r2", MUG=2)).then(
        requested("r2", 950 + 800, MUG=2)
    )


def test_lines_of_one_sku_are_returned_together() -> None:
    twice = replace(request("r1"), lines=(*lines(MUG=1), *lines(MUG=1)))
    order.given(*sent).when(twice).then(requested("r1", 1900, MUG=2))


def test_no_more_can_be_returned_than_was_ordered() -> None:
    order.given(*sent).when(request("r1", MUG=6)).then_rejected("MUG", "only 5")
    order.given(*sent).when(request("r1", JUG=1)).then_rejected("JUG", "only 0")


def test_what_is_to_come_back_cannot_be_returned_again() -> None:
    before = [requested("r1", 950, MUG=1), requested("r2", 950, MUG=1), accepted("r2", 950, MUG=1)]
    order.given(*sent, *before).when(request("r3", MUG=4)).then_rejected("MUG", "only 3")


def test_requesting_the_same_return_again_changes_nothing() -> None:
    order.given(*sent, requested("r1", 400, CUP=1)).when(request("r1", CUP=1)).then_nothing()
    order.given(*all_back).when(request("r1", CUP=1, MUG=5)).then_nothing()


def test_a_return_id_stands_for_one_return() -> None:
    order.given(*sent, requested("r1", 400, CUP=1)).when(request("r1", MUG=1)).then_rejected("r1")


@pytest.mark.parametrize("history", [[placed], [placed, confirmed], [placed, cancelled]])
def test_nothing_is_returned_that_was_not_dispatched(history: list[Event]) -> None:
    order.given(*history).when(request("r1", CUP=1)).then_rejected("return")


def test_nothing_more_is_returned_once_everything_came_back() -> None:
    order.given(*all_back).when(request("r2", CUP=1)).then_rejected("returned")


def test_an_accepted_return_takes_its_part_of_the_sale_back() -> None:
    order.given(*delivered, requested("r1", 400, CUP=1)).when(accept("r1")).then(accepted("r1", 400, CUP=1))


def test_the_return_that_leaves_nothing_sold_takes_the_whole_order_back() -> None:
    before = [requested("r1", 400, CUP=1), requested("r2", 4300, MUG=5)]
    order.given(*delivered, *before).when(accept("r1")).then(accepted("r1", 400, CUP=1))
    order.given(*delivered, *before, accepted("r1", 400, CUP=1)).when(accept("r2")).then(
        accepted("r2", 4300, all_back=True, MUG=5)
    )
    order.given(*delivered, *before, accepted("r2", 4300, MUG=5)).when(accept("r1")).then(
        accepted("r1", 400, all_back=True, CUP=1)
    )


def test_accepting_a_return_again_changes_nothing() -> None:
    order.given(*delivered, requested("r1", 400, CUP=1), accepted("r1", 400, CUP=1)).when(
        accept("r1")
    ).then_nothing()
    order.given(*all_back).when(accept("r1")).then_nothing()


def test_a_return_that_was_not_requested_is_unknown() -> None:
    order.given(*delivered).when(accept("r1")).then_unknown("r1")


@pytest.mark.parametrize(
    "command",
    [confirm, cancel, mark_dispatched, complete, request("r1", CUP=1), accept("r1")],
    ids=lambda it: type(it).__name__,
)
def test_an_order_that_was_never_placed_is_unknown(command: OrderingCommand) -> None:
    order.when(command).then_unknown("42")
