"""Whatever the order of messages and whoever interferes, an order ends completed, undone or visibly stuck."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hypothesis import event, given, settings
from hypothesis import strategies as st

from contexts.fulfilment.events import Stage
from contexts.inventory.reservation import Status as ReservationStatus
from contexts.ordering.decider import Status as OrderStatus
from contexts.shipping.decider import Status as ShipmentStatus
from tests.contexts.fulfilment.world import World

TERMINAL = {Stage.COMPLETED, Stage.CANCELLED, Stage.SETTLED}

INTERFERENCES: dict[str, Callable[[World], object]] = {
    "the customer cancels": World.customer_cancels,
    "the customer returns": World.customer_returns,
    "the customer withdraws the return": World.customer_withdraws_the_return,
    "the shop refuses the return": World.shop_refuses_the_return,
    "the warehouse dispatches": World.warehouse_dispatches,
    "the warehouse delivers": World.warehouse_delivers,
    "the warehouse takes back": World.warehouse_takes_back,
    "the warehouse writes off": World.warehouse_writes_off,
    "the provider approves": lambda world: world.provider_decides("approve"),
    "the provider declines": lambda world: world.provider_decides("decline"),
    "the provider loses its next answer": World.provider_loses_its_next_answer,
    "somebody voids by hand": World.somebody_voids_by_hand,
    "somebody refunds by hand": World.somebody_refunds_by_hand,
    "the payment is checked": World.payment_is_checked,
    "the payment is due": World.payment_is_due,
    "an operator retries": World.operator_retries,
    "an operator abandons": World.operator_abandons,
    "an operator resumes": World.operator_resumes,
    "an operator settles": World.operator_settles,
    "the saga loses its store": World.saga_loses_its_store,
    "everything is heard again": World.hear_everything_again,
    "an answer is lost": World.send_next_and_lose_the_answer,
}


def drain(world: World) -> None:
    """Let every message arrive."""
    while moves := world.possible():
        next(iter(moves.values()))()


def finish(world: World) -> None:
    """Let everybody do what is left for them to do; the customer sends something back."""
    drain(world)
    world.payment_is_due()
    drain(world)
    for last in (
        world.payment_is_checked,
        world.operator_retries,
        world.operator_resumes,
        world.warehouse_dispatches,
        world.warehouse_delivers,
        world.customer_returns,
        world.warehouse_takes_back,
        world.hear_everything_again,
    ):
        last()
        drain(world)
    # A late approval: the provider may make up its mind long after the order was given up.
    world.provider_decides("approve")
    drain(world)
    world.payment_is_checked()
    drain(world)


def settle(world: World) -> None:
    """What is stuck is retried, then given up and settled by an operator."""
    for help_ in (world.operator_retries, world.operator_abandons, world.operator_settles):
        help_()
        drain(world)


def play(world: World, chance: Random) -> None:
    """Some of the others are about; between any two messages one of them may act."""
    about = [name for name in sorted(INTERFERENCES) if chance.random() < 0.4]
    for _ in range(chance.randint(0, 80)):
        moves = list(world.possible().values())
        if about and (not moves or chance.random() < 0.2):
            INTERFERENCES[chance.choice(about)](world)
        elif moves:
            chance.choice(moves)()


@settings(max_examples=1_000, deadline=None)
@given(
    manner=st.sampled_from(["approve", "approve", "pending", "decline", "mismatch"]),
    units=st.sampled_from([5, 5, 5, 0]),
    seed=st.integers(0, 2**32),
)
def test_every_interleaving_ends_well(manner: str, units: int, seed: int) -> None:
    """The contexts are the real deciders; who interferes, when, and the order of messages is drawn."""
    world = World(manner, units)
    play(world, Random(seed))
    finish(world)

    assert world.provider.charges <= 1, "charged twice"
    assert all(stock.available >= 0 for stock in world.stocks.values()), "oversold"
    event(f"{world.saga.stage}{' stuck' if world.saga.failures else ''}")
    if world.saga.failures:
        event("stuck: " + ", ".join(failure.command for failure in world.saga.failures))
        settle(world)
    elif world.saga.stage is Stage.ABANDONED:
        settle(world)
    match world.saga.stage:
        case Stage.COMPLETED:
            assert_done(world)
        case Stage.CANCELLED:
            assert_undone(world)
        case _:
            assert world.saga.stage is Stage.SETTLED, "neither ended nor settled"
    assert_books(world)


def assert_done(world: World) -> None:
    """Charged, out of the stock, with the customer, save for what came back."""
    assert world.provider.charges == 1
    assert world.states["inventory"].status is ReservationStatus.SHIPPED
    assert world.states["ordering"].status in {OrderStatus.COMPLETED, OrderStatus.RETURNED}


def assert_undone(world: World) -> None:
    """No money is held, no stock is reserved, no parcel leaves."""
    assert world.provider.charges == 0
    assert world.states["inventory"].status in {ReservationStatus.RELEASED, ReservationStatus.REFUSED}
    assert world.states["ordering"].status is OrderStatus.CANCELLED
    assert world.states["shipping"].status in {ShipmentStatus.UNKNOWN, ShipmentStatus.CANCELLED}


def assert_books(world: World) -> None:
    """The provider's books are the orders' books, and both are what left and came back."""
    gone = world.states["shipping"].status in {ShipmentStatus.DISPATCHED, ShipmentStatus.DELIVERED}
    assert not world.provider.held, "money is held for ever"
    if not world.provider.by_hand:
        assert (world.provider.charges == 1) is gone, "goods gone must be goods paid for"
    assert (world.states["inventory"].status is ReservationStatus.SHIPPED) is gone
    if world.states["ordering"].status is OrderStatus.CANCELLED:
        assert not gone
    assert all(stock.reserved == 0 for stock in world.stocks.values()), "stock is reserved for ever"
    received = world.received()
    due = {back.return_id: back.refund for back in received}
    due |= {"by-hand": 1} if "by-hand" in world.provider.refunds else {}
    if world.saga.stage is not Stage.SETTLED:
        # An operator may have settled outside.
        assert world.provider.refunds == due, "refunds are for what came"
    assert world.states["payments"].refunds == world.provider.refunds, "the provider's books are ours"
    restocked = sum(line.restocked for back in received for line in back.lines)
    assert world.stocks["MUG"].on_hand == world.units - (2 if gone else 0) + restocked
