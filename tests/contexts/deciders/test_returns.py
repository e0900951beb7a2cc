"""What may come back of an order, what is refunded for it, and what is refused."""

from __future__ import annotations

from collections import Counter
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from contexts.messages import Event, Units
from contexts.ordering.commands import OrderingCommand
from contexts.ordering.decider import decide, evolve
from contexts.ordering.events import OrderingEvent, ReturnReceived
from contexts.ordering.order_lines import OrderLine
from contexts.ordering.returns import units
from tests.contexts.deciders.an_order import (
    accept,
    accepted,
    all_back,
    came,
    cancelled,
    confirmed,
    delivered,
    dispatched,
    lines,
    order,
    placed,
    receive,
    received,
    refuse,
    refused,
    request,
    requested,
    sent,
    withdraw,
    withdrawn,
)

# Requesting


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


def test_an_order_has_at_most_ten_open_returns() -> None:
    """One that is received, refused or withdrawn makes room for another."""
    many = replace(placed, lines=(replace(placed.lines[0], quantity=1_000),))
    ten = [requested(f"r{number}", 950, MUG=1) for number in range(10)]
    before = [many, confirmed, dispatched, *ten]
    order.given(*before).when(request("r10", MUG=1)).then_rejected("42", "10 open returns")
    for closing in (withdrawn("r3"), refused("r3"), received("r3", 950, came("MUG", 1))):
        order.given(*before, closing).when(request("r10", MUG=1)).then(requested("r10", 950, MUG=1))


def test_an_order_has_at_most_a_hundred_returns() -> None:
    """Closed ones count as well: an order's document and stream have their bounds."""
    closed = [
        event
        for number in range(100)
        for event in (requested(f"r{number}", 400, CUP=1), withdrawn(f"r{number}"))
    ]
    order.given(*sent, *closed[:-2]).when(request("r100", CUP=1)).then(requested("r100", 400, CUP=1))
    order.given(*sent, *closed).when(request("r100", CUP=1)).then_rejected("42", "100 returns")


def test_the_lines_of_all_returns_of_an_order_have_a_bound() -> None:
    """An order's document holds them all."""
    skus = [f"S{number}" for number in range(2_000)]
    sold = tuple(OrderLine(sku=sku, name=sku, quantity=1, unit_price=1) for sku in skus)
    all_of_it = tuple(Units(sku=sku, quantity=1) for sku in skus)
    closed = [
        event
        for number in range(10)
        for event in (replace(requested(f"r{number}", 2_000), lines=all_of_it), withdrawn(f"r{number}"))
    ]
    history = [replace(placed, lines=sold), confirmed, dispatched, *closed]
    order.given(*history).when(request("r10", S1=1)).then_rejected("20000 lines")


# Receiving


def test_what_was_requested_comes_back_and_is_refunded() -> None:
    before = [*delivered, requested("r1", 1900, MUG=2)]
    order.given(*before).when(receive("r1")).then(received("r1", 1900, came("MUG", 2)))


def test_the_only_open_return_need_not_be_named() -> None:
    before = [*delivered, requested("r1", 400, CUP=1), withdrawn("r1"), requested("r2", 950, MUG=1)]
    order.given(*before).when(receive()).then(received("r2", 950, came("MUG", 1)))


def test_one_of_several_open_returns_must_be_named() -> None:
    before = [*delivered, requested("r1", 400, CUP=1), requested("r2", 1900, MUG=2)]
    order.given(*before).when(receive()).then_rejected("r1, r2")
    order.given(*before).when(receive("r2")).then(received("r2", 1900, came("MUG", 2)))


@pytest.mark.parametrize(
    "history",
    [
        [placed],
        [placed, confirmed],
        [placed, cancelled],
        sent,
        delivered,
        all_back,
        [*sent, requested("r1", 400, CUP=1), received("r1", 400, came("CUP", 1))],
        [*sent, requested("r1", 400, CUP=1), withdrawn("r1")],
        [*sent, requested("r1", 400, CUP=1), refused("r1")],
    ],
)
def test_nothing_is_received_while_no_return_is_open(history: list[Event]) -> None:
    order.given(*history).when(receive()).then_rejected("42", "awaits no return")


def test_a_parcel_is_not_taken_for_a_return_that_is_not_there() -> None:
    order.given(*delivered, requested("r1", 400, CUP=1)).when(receive("r9")).then_rejected("r9")


@pytest.mark.parametrize(("closing", "state"), [(withdrawn("r1"), "withdrawn"), (refused("r1"), "refused")])
def test_a_closed_return_is_not_received(closing: Event, state: str) -> None:
    before = [*delivered, requested("r1", 400, CUP=1), closing]
    order.given(*before).when(receive("r1")).then_rejected("r1", state)


def test_units_are_restocked_or_written_off_and_refunded_either_way() -> None:
    before = [*delivered, requested("r1", 2850, MUG=3)]
    order.given(*before).when(receive("r1", came("MUG", 1, 2))).then(received("r1", 2700, came("MUG", 1, 2)))
    order.given(*before).when(receive("r1", came("MUG", 0, 1))).then(received("r1", 950, came("MUG", 0, 1)))


def test_lines_of_one_sku_are_received_together() -> None:
    before = [*delivered, requested("r1", 2700, MUG=3)]
    twice = receive("r1", came("MUG", 1), came("MUG", 0, 1), came("CUP", 0))
    order.given(*before).when(twice).then(received("r1", 1900, came("MUG", 1, 1)))


def test_no_more_is_received_than_was_requested() -> None:
    before = [*delivered, requested("r1", 1900, MUG=2)]
    order.given(*before).when(receive("r1", came("MUG", 3))).then_rejected("r1", "MUG", "2", "3")
    order.given(*before).when(receive("r1", came("MUG", 2, 1))).then_rejected("MUG")
    order.given(*before).when(receive("r1", came("MUG", 1), came("MUG", 2))).then_rejected("MUG")
    order.given(*before).when(receive("r1", came("CUP", 1))).then_rejected("CUP", "0", "1")


def test_a_parcel_with_nothing_of_the_return_is_a_refusal() -> None:
    before = [*delivered, requested("r1", 1900, MUG=2)]
    order.given(*before).when(receive("r1", came("MUG", 0))).then_rejected("r1", "refuse")


def test_receiving_the_same_again_changes_nothing() -> None:
    before = [*delivered, requested("r1", 1900, MUG=2), received("r1", 1900, came("MUG", 2))]
    for history in (before, [*before, accepted("r1", 1900, MUG=2)]):
        for same in (
            receive("r1"),
            receive("r1", came("MUG", 2)),
            receive("r1", came("MUG", 1), came("MUG", 1)),
        ):
            order.given(*history).when(same).then_nothing()


def test_receiving_something_else_again_is_refused() -> None:
    before = [*delivered, requested("r1", 1900, MUG=2), received("r1", 1900, came("MUG", 2))]
    for history in (before, [*before, accepted("r1", 1900, MUG=2)]):
        order.given(*history).when(receive("r1", came("MUG", 1, 1))).then_rejected("r1", "other content")
        order.given(*history).when(receive("r1", came("MUG", 1))).then_rejected("r1", "other content")


def test_units_that_did_not_come_can_be_returned_again() -> None:
    before = [*delivered, requested("r1", 4300, MUG=5)]
    order.given(*before).when(request("r2", MUG=1)).then_rejected("MUG", "only 0")
    order.given(*before, received("r1", 1900, came("MUG", 1, 1))).when(request("r2", MUG=3)).then(
        requested("r2", 2400, MUG=3)
    )
    for closing in (withdrawn("r1"), refused("r1")):
        order.given(*before, closing).when(request("r2", MUG=5)).then(requested("r2", 4300, MUG=5))


def test_the_refund_is_for_what_came_in_the_order_in_which_it_came() -> None:
    """The second return comes first: its units are the first to have come."""
    before = [*delivered, requested("r1", 1900, MUG=2), requested("r2", 2400, MUG=3)]
    first = received("r2", 2700, came("MUG", 3))
    order.given(*before).when(receive("r2")).then(first)
    order.given(*before, first).when(receive("r1")).then(received("r1", 1600, came("MUG", 2)))


skus = st.sampled_from(["CUP", "MUG", "POT"])
sales = st.lists(st.tuples(skus, st.integers(1, 4), st.integers(1, 999)), min_size=1, max_size=6)


class Life:
    """An order that comes back bit by bit."""

    def __init__(self, sold: tuple[OrderLine, ...]) -> None:
        total = sum(line.quantity * line.unit_price for line in sold)
        self.state = order.given(replace(placed, lines=sold, total=total), confirmed, dispatched).state
        self.refunded = 0
        self.left = units(sold)

    def do(self, command: OrderingCommand) -> OrderingEvent:
        [event] = decide(self.state, command)
        self.state = evolve(self.state, event)
        return event

    def send_back(self, return_id: str, wanted: dict[str, int], choices: Random) -> None:
        """Request them; then withdraw, refuse, or receive at least one of them and perhaps not all."""
        self.do(request(return_id, **wanted))
        if choices.random() < 0.2:
            self.do(withdraw(return_id) if choices.random() < 0.5 else refuse(return_id))
            return
        whole = choices.choice(list(wanted))
        got = {sku: most if sku == whole else choices.randint(0, most) for sku, most in wanted.items()}
        off = {sku: choices.randint(0, most) for sku, most in got.items()}
        event = self.do(receive(return_id, *(came(sku, got[sku] - off[sku], off[sku]) for sku in wanted)))
        assert isinstance(event, ReturnReceived)
        self.refunded += event.refund
        self.left -= Counter(got)
        self.do(accept(return_id))


@settings(max_examples=200, deadline=None)
@given(sales, st.integers(0, 2**32))
def test_refunds_add_up_to_the_penny_over_any_parts(sold: list[tuple[str, int, int]], seed: int) -> None:
    """Several prices for one SKU; parts that come wholly, partly or not at all, until everything is back."""
    choices = Random(seed)
    lines = (OrderLine(sku=sku, name=sku, quantity=some, unit_price=price) for sku, some, price in sold)
    life = Life(tuple(lines))
    numbers = count(1)
    while life.left:
        first = choices.choice(list(life.left))
        wanted = {
            sku: choices.randint(1, most)
            for sku, most in life.left.items()
            if sku == first or choices.random() < 0.5
        }
        life.send_back(f"r{next(numbers)}", wanted, choices)
    assert life.refunded == sum(some * price for _, some, price in sold)
    assert life.state is not None
    assert life.state.status == "returned"


# Withdrawing and refusing


def test_a_return_is_withdrawn_before_its_parcel_comes() -> None:
    order.given(*sent, requested("r1", 400, CUP=1)).when(withdraw("r1")).then(withdrawn("r1"))


def test_a_return_is_refused_with_a_reason() -> None:
    order.given(*sent, requested("r1", 400, CUP=1)).when(refuse("r1")).then(refused("r1"))


def test_closing_a_return_again_changes_nothing() -> None:
    order.given(*sent, requested("r1", 400, CUP=1), withdrawn("r1")).when(withdraw("r1")).then_nothing()
    order.given(*sent, requested("r1", 400, CUP=1), refused("r1")).when(refuse("r1")).then_nothing()


def test_a_return_ends_in_one_way() -> None:
    before = [*sent, requested("r1", 400, CUP=1)]
    come = received("r1", 400, came("CUP", 1))
    for history in ([*before, come], [*before, come, accepted("r1", 400, CUP=1)]):
        order.given(*history).when(withdraw("r1")).then_rejected("withdraw", "r1")
        order.given(*history).when(refuse("r1")).then_rejected("refuse", "r1")
    order.given(*before, refused("r1")).when(withdraw("r1")).then_rejected("withdraw", "refused")
    order.given(*before, withdrawn("r1")).when(refuse("r1")).then_rejected("refuse", "withdrawn")
    for closed in (withdrawn("r1"), refused("r1")):
        order.given(*before, closed).when(accept("r1")).then_rejected("accept", "r1")


def test_only_a_return_of_the_order_is_withdrawn_or_refused() -> None:
    order.given(*sent).when(withdraw("r1")).then_rejected("r1")
    order.given(*sent).when(refuse("r1")).then_rejected("r1")


# Accepting


def test_an_accepted_return_takes_its_part_of_the_sale_back() -> None:
    before = [*delivered, requested("r1", 1900, MUG=2), received("r1", 950, came("MUG", 0, 1))]
    order.given(*before).when(accept("r1")).then(accepted("r1", 950, MUG=1))


def test_the_return_that_leaves_nothing_sold_takes_the_whole_order_back() -> None:
    before = [
        *delivered,
        requested("r1", 400, CUP=1),
        requested("r2", 4300, MUG=5),
        received("r1", 400, came("CUP", 0, 1)),
        received("r2", 4300, came("MUG", 3, 2)),
    ]
    order.given(*before).when(accept("r1")).then(accepted("r1", 400, CUP=1))
    order.given(*before, accepted("r1", 400, CUP=1)).when(accept("r2")).then(
        accepted("r2", 4300, all_back=True, MUG=5)
    )
    order.given(*before, accepted("r2", 4300, MUG=5)).when(accept("r1")).then(
        accepted("r1", 400, all_back=True, CUP=1)
    )


def test_an_order_of_which_units_are_missing_is_not_returned() -> None:
    before = [*delivered, requested("r1", 4700, CUP=1, MUG=5)]
    come = received("r1", 4300, came("MUG", 5))
    order.given(*before, come).when(accept("r1")).then(accepted("r1", 4300, MUG=5))


def test_accepting_a_return_again_changes_nothing() -> None:
    one = [*delivered, requested("r1", 400, CUP=1), received("r1", 400, came("CUP", 1))]
    order.given(*one, accepted("r1", 400, CUP=1)).when(accept("r1")).then_nothing()
    order.given(*all_back).when(accept("r1")).then_nothing()


def test_a_return_that_was_not_requested_is_unknown() -> None:
    order.given(*delivered).when(accept("r1")).then_unknown("r1")


# Old logs


def test_a_return_that_shipping_received_is_accepted_as_it_was_requested() -> None:
    """In old logs nothing says what came: the refund was for what had been requested."""
    before = [*delivered, requested("r1", 1900, MUG=2)]
    order.given(*before).when(accept("r1")).then(accepted("r1", 1900, MUG=2))
    order.given(*before, accepted("r1", 1900, MUG=2)).when(receive("r1")).then_nothing()


def test_refunds_add_up_with_those_of_old_logs() -> None:
    """There a return that came first was refunded as if it had come in the order of the requests."""
    before = [
        *delivered,
        requested("r1", 1900, MUG=2),
        requested("r2", 2400, MUG=3),
        accepted("r2", 2400, MUG=3),
    ]
    order.given(*before).when(receive("r1")).then(received("r1", 1900, came("MUG", 2)))
