"""What the inventory does, refuses and keeps quiet about; and that it never promises what is not there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.inventory.commands import (
    AdjustStock,
    InventoryCommand,
    ReceiveStock,
    ReleaseReservation,
    ReserveStock,
    ReturnStock,
    ShipReservation,
)
from contexts.inventory.decider import stock_stream, stream_of
from contexts.inventory.events import (
    ReservationReleased,
    ReservationShipped,
    Shortage,
    StockAdjusted,
    StockAllocated,
    StockFreed,
    StockIssued,
    StockReceived,
    StockRefused,
    StockReserved,
    StockRestocked,
    StockReturned,
)
from contexts.inventory.reservation import Reservation, Status
from contexts.inventory.stock import Stock
from contexts.messages import Event, Rejected, Units
from tests.contexts.deciders.warehouse import Streams, decide_all, evolve_all, inventory


def line(sku: str, quantity: int) -> Units:
    return Units(sku=sku, quantity=quantity)


five_cups = StockReceived(sku="CUP", quantity=5, reference="delivery 7")
five_mugs = StockReceived(sku="MUG", quantity=5)
stocked = [five_cups, five_mugs]

reserve = ReserveStock(order_id="42", lines=(line("MUG", 3), line("CUP", 2)))
reserved = [
    StockReserved(order_id="42", lines=(line("CUP", 2), line("MUG", 3))),
    StockAllocated(sku="CUP", order_id="42", quantity=2),
    StockAllocated(sku="MUG", order_id="42", quantity=3),
]
refused = StockRefused(order_id="42", shortages=(Shortage(sku="MUG", wanted=3, available=0),))
release = ReleaseReservation(order_id="42")
released = [
    ReservationReleased(order_id="42", lines=(line("CUP", 2), line("MUG", 3))),
    StockFreed(sku="CUP", order_id="42", quantity=2),
    StockFreed(sku="MUG", order_id="42", quantity=3),
]
ship = ShipReservation(order_id="42")
shipped = [
    ReservationShipped(order_id="42", lines=(line("CUP", 2), line("MUG", 3))),
    StockIssued(sku="CUP", order_id="42", quantity=2),
    StockIssued(sku="MUG", order_id="42", quantity=3),
]
take_back = ReturnStock(order_id="42", return_id="r1", lines=(line("MUG", 2),))
taken_back = [
    StockReturned(order_id="42", return_id="r1", lines=(line("MUG", 2),)),
    StockRestocked(sku="MUG", order_id="42", return_id="r1", quantity=2),
]


def other(events: Sequence[Event], order_id: str) -> list[Event]:
    return [msgspec.structs.replace(event, order_id=order_id) for event in events]


def test_stock_is_received() -> None:
    receive = ReceiveStock(sku="CUP", quantity=5, reference="delivery 7")
    inventory.when(receive).then(five_cups)


def test_stock_is_adjusted() -> None:
    lost = AdjustStock(sku="CUP", delta=-5, reason="broken")
    inventory.given(*stocked).when(lost).then(StockAdjusted(sku="CUP", delta=-5, reason="broken"))
    found = AdjustStock(sku="CUP", delta=1, reason="found")
    inventory.when(found).then(StockAdjusted(sku="CUP", delta=1, reason="found"))


def test_an_adjustment_by_nothing_changes_nothing() -> None:
    inventory.given(*stocked).when(AdjustStock(sku="CUP", delta=0, reason="counted")).then_nothing()


def test_an_adjustment_never_takes_what_is_reserved() -> None:
    given_reserved = inventory.given(*stocked, *reserved)
    given_reserved.when(AdjustStock(sku="CUP", delta=-4, reason="broken")).then_rejected("CUP", "reserved")
    given_reserved.when(AdjustStock(sku="CUP", delta=-3, reason="broken")).then(
        StockAdjusted(sku="CUP", delta=-3, reason="broken")
    )


def test_every_line_of_an_order_is_reserved_at_once() -> None:
    inventory.given(*stocked).when(reserve).then(*reserved)


def test_lines_of_one_sku_count_together() -> None:
    twice = ReserveStock(order_id="42", lines=(line("CUP", 3), line("CUP", 3)))
    inventory.given(*stocked).when(twice).then(
        StockRefused(order_id="42", shortages=(Shortage(sku="CUP", wanted=6, available=5),))
    )


def test_one_short_line_refuses_the_whole_order_and_names_every_shortage() -> None:
    inventory.given(five_cups).when(reserve).then(refused)
    much = ReserveStock(order_id="42", lines=(line("MUG", 6), line("CUP", 7), line("JUG", 1)))
    inventory.given(*stocked).when(much).then(
        StockRefused(
            order_id="42",
            shortages=(
                Shortage(sku="CUP", wanted=7, available=5),
                Shortage(sku="JUG", wanted=1, available=0),
                Shortage(sku="MUG", wanted=6, available=5),
            ),
        )
    )


def test_what_is_reserved_for_one_order_is_not_available_to_another() -> None:
    again = msgspec.structs.replace(reserve, order_id="43")
    inventory.given(*stocked, *reserved).when(again).then(
        StockRefused(order_id="43", shortages=(Shortage(sku="MUG", wanted=3, available=2),))
    )


@pytest.mark.parametrize(
    "history",
    [
        reserved,
        [refused],
        [*reserved, *released],
        [*reserved, *shipped],
    ],
    ids=["reserved", "refused", "released", "shipped"],
)
def test_reserving_again_changes_nothing(history: list[Event]) -> None:
    inventory.given(*stocked, *history).when(reserve).then_nothing()


def test_absurd_quantities_are_refused() -> None:
    absurd = ReserveStock(order_id="42", lines=(line("CUP", 1_000_000), line("CUP", 1)))
    inventory.given(*stocked).when(absurd).then_rejected("CUP")


def test_a_reservation_is_released() -> None:
    inventory.given(*stocked, *reserved).when(release).then(*released)


def test_released_stock_can_be_reserved_by_another_order() -> None:
    again = msgspec.structs.replace(reserve, order_id="43")
    inventory.given(*stocked, *reserved, *released).when(again).then(*other(reserved, "43"))


def test_releasing_again_changes_nothing() -> None:
    inventory.given(*stocked, *reserved, *released).when(release).then_nothing()


def test_releasing_what_was_refused_changes_nothing() -> None:
    inventory.given(refused).when(release).then_nothing()


def test_an_order_released_before_it_reserved_never_reserves() -> None:
    """The two commands may overtake each other on the way."""
    never = ReservationReleased(order_id="42", lines=())
    inventory.given(*stocked).when(release).then(never)
    inventory.given(*stocked, never).when(reserve).then_nothing()
    inventory.given(*stocked, never).when(ship).then_rejected("released")


def test_what_was_shipped_cannot_be_released() -> None:
    inventory.given(*stocked, *reserved, *shipped).when(release).then_rejected("release", "shipped")


def test_a_reservation_is_shipped() -> None:
    inventory.given(*stocked, *reserved).when(ship).then(*shipped)


def test_what_was_shipped_is_neither_on_hand_nor_reserved_any_more() -> None:
    streams = inventory.given(*stocked, *reserved, *shipped).state
    assert (streams["stock-CUP"], streams["stock-MUG"]) == (Stock(3, 0), Stock(2, 0))


def test_what_came_back_is_on_hand_and_available_again() -> None:
    streams = inventory.given(*stocked, *reserved, *shipped, *taken_back).state
    assert streams["stock-MUG"] == Stock(4, 0)


def test_shipping_again_changes_nothing() -> None:
    inventory.given(*stocked, *reserved, *shipped).when(ship).then_nothing()


@pytest.mark.parametrize("history", [[refused], [*reserved, *released]], ids=["refused", "released"])
def test_what_is_not_reserved_cannot_be_shipped(history: list[Event]) -> None:
    inventory.given(*stocked, *history).when(ship).then_rejected("ship")


@pytest.mark.parametrize("command", [ship, take_back], ids=lambda it: type(it).__name__)
def test_an_order_without_a_reservation_is_unknown(command: InventoryCommand) -> None:
    inventory.when(command).then_unknown("42")


def test_some_of_what_was_shipped_comes_back() -> None:
    inventory.given(*stocked, *reserved, *shipped).when(take_back).then(*taken_back)


def test_the_same_return_counts_once() -> None:
    inventory.given(*stocked, *reserved, *shipped, *taken_back).when(take_back).then_nothing()


def test_no_more_comes_back_than_was_shipped() -> None:
    gone = inventory.given(*stocked, *reserved, *shipped, *taken_back)
    two_more = ReturnStock(order_id="42", return_id="r2", lines=(line("MUG", 1), line("MUG", 1)))
    gone.when(two_more).then_rejected("MUG", "only 1")
    foreign = ReturnStock(order_id="42", return_id="r2", lines=(line("JUG", 1),))
    gone.when(foreign).then_rejected("JUG", "only 0")
    one_more = ReturnStock(order_id="42", return_id="r2", lines=(line("MUG", 1),))
    gone.when(one_more).then(
        StockReturned(order_id="42", return_id="r2", lines=(line("MUG", 1),)),
        StockRestocked(sku="MUG", order_id="42", return_id="r2", quantity=1),
    )


def test_nothing_comes_back_that_was_not_shipped() -> None:
    inventory.given(*stocked, *reserved).when(take_back).then_rejected("reserved")


skus = st.sampled_from(["CUP", "MUG", "JUG"])
orders = st.sampled_from(["1", "2", "3", "4"])
few = st.integers(1, 4)
lines = st.lists(st.builds(Units, sku=skus, quantity=few), min_size=1, max_size=3).map(tuple)
commands = st.one_of(
    st.builds(ReceiveStock, sku=skus, quantity=st.integers(1, 12)),
    st.builds(AdjustStock, sku=skus, delta=st.integers(-6, 6), reason=st.just("counted")),
    st.builds(ReserveStock, order_id=orders, lines=lines),
    st.builds(ReserveStock, order_id=orders, lines=lines),
    st.builds(ReleaseReservation, order_id=orders),
    st.builds(ShipReservation, order_id=orders),
    st.builds(ReturnStock, order_id=orders, return_id=st.sampled_from(["r1", "r2"]), lines=lines),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(commands, max_size=40))
def test_nothing_is_ever_oversold(asked: list[InventoryCommand]) -> None:
    """Whatever is asked in whatever order, stock covers every promise after every single event."""
    streams = inventory.given(*stocked).state
    for command in asked:
        try:
            events = decide_all(streams, command)
        except Rejected:
            continue
        assert len({stream_of(event) for event in events}) == len(events), "one event for each stream"
        for event in events:
            streams = evolve_all(streams, event)
            stocks = [it for it in streams.values() if isinstance(it, Stock)]
            assert all(0 <= it.reserved <= it.on_hand for it in stocks)
        for sku in ("CUP", "MUG", "JUG"):
            stock = streams.get(stock_stream(sku), Stock())
            assert isinstance(stock, Stock)
            assert stock.reserved == promised(streams, sku)


def promised(streams: Streams, sku: str) -> int:
    open_reservations = [
        it for it in streams.values() if isinstance(it, Reservation) and it.status is Status.RESERVED
    ]
    return sum(held.quantity for it in open_reservations for held in it.lines if held.sku == sku)
