"""Every command of the saga in every state it can meet: a rebuilt saga sends all of them once more.

`does` has an effect, `-` is accepted and changes nothing, `no` is refused. A second effect, or a first one
that contradicts where the order is now, would lose money, goods or an order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import Shortage, StockReceived, StockRefused
from contexts.messages import Command, Event, Rejected, Units
from contexts.shipping.commands import (
    CancelShipment,
    CreateShipment,
    DeliverShipment,
    DispatchShipment,
    ResumeShipment,
    ShippingCommand,
)
from contexts.shipping.decider import Shipment
from contexts.shipping.decider import decide as decide_shipping
from contexts.shipping.decider import evolve as evolve_shipping
from contexts.shipping.events import ShipmentAbandoned
from tests.contexts.deciders import an_order
from tests.contexts.deciders.an_order import (
    accept,
    accepted,
    came,
    order,
    received,
    refused,
    requested,
    withdrawn,
)
from tests.contexts.deciders.warehouse import inventory
from tests.spec import Given, Spec

History = Sequence[Event]

one = requested("r1", 400, CUP=1)
come = received("r1", 400, came("CUP", 1))
orders: Mapping[str, History] = {
    "placed": [an_order.placed],
    "confirmed": [an_order.placed, an_order.confirmed],
    "cancelling": [an_order.placed, an_order.confirmed, an_order.cancellation_requested],
    "cancelled": [an_order.placed, an_order.cancelled],
    "dispatched": an_order.sent,
    "completed": an_order.delivered,
    "requested": [*an_order.delivered, one],
    "withdrawn": [*an_order.delivered, one, withdrawn("r1")],
    "refused": [*an_order.delivered, one, refused("r1")],
    "received": [*an_order.delivered, one, come],
    "accepted": [*an_order.delivered, one, come, accepted("r1", 400, CUP=1)],
    "returned": an_order.all_back,
}
of_orders: Mapping[str, Command] = {
    "confirm": an_order.confirm,
    "approve": an_order.approve,
    "mark": an_order.mark_dispatched,
    "complete": an_order.complete,
    "accept": accept("r1"),
    "abandon": an_order.abandon,
    "resume": an_order.resume,
}
ORDERING = """
                  confirm  approve  mark  complete  accept  abandon  resume
    placed        does     does     no    no        no      does     -
    confirmed     -        does     does  no        no      does     -
    cancelling    -        does     does  no        no      does     -
    cancelled     no       -        no    no        no      does     -
    dispatched    -        no       -     does      no      does     -
    completed     -        no       -     -         no      does     -
    requested     -        no       -     -         does    does     -
    withdrawn     -        no       -     -         no      does     -
    refused       -        no       -     -         no      does     -
    received      -        no       -     -         does    does     -
    accepted      -        no       -     -         -       does     -
    returned      -        no       -     -         -       does     -
"""

shipment = Spec(Shipment(), decide_shipping, evolve_shipping)
of_shipments: Mapping[str, ShippingCommand] = {
    "create": CreateShipment(order_id="42", lines=(Units(sku="MUG", quantity=2),)),
    "cancel": CancelShipment(order_id="42"),
    "dispatch": DispatchShipment(order_id="42", carrier="DHL", tracking="D1"),
    "deliver": DeliverShipment(order_id="42"),
    "resume": ResumeShipment(order_id="42"),
}
parcels = {
    "none": "",
    "created": "create",
    "dispatched": "create dispatch",
    "delivered": "create dispatch deliver",
    "cancelled": "create cancel",
    "prevented": "cancel",
}
SHIPPING = """
                  create  cancel  dispatch  deliver  resume
    none          does    does    no        no       -
    created       -       does    does      no       -
    dispatched    -       no      -         does     -
    delivered     -       no      -         -        -
    cancelled     -       -       no        no       -
    prevented     -       -       no        no       -
"""

mugs = (Units(sku="MUG", quantity=2),)
of_reservations: Mapping[str, Command] = {
    "reserve": ReserveStock(order_id="42", lines=mugs),
    "release": ReleaseReservation(order_id="42"),
    "ship": ShipReservation(order_id="42"),
    "take_back": ReturnStock(order_id="42", return_id="r1", lines=mugs),
}
five = StockReceived(sku="MUG", quantity=5)
short = StockRefused(order_id="42", shortages=(Shortage(sku="MUG", wanted=2, available=1),))
reservations = {
    "none": "",
    "reserved": "reserve",
    "released": "reserve release",
    "prevented": "release",
    "shipped": "reserve ship",
    "returned": "reserve ship take_back",
}
INVENTORY = """
                  reserve  release  ship  take_back
    none          does     does     no    no
    reserved      -        does     does  no
    refused       -        -        no    no
    released      -        -        no    no
    prevented     -        -        no    no
    shipped       -        no       -     does
    returned      -        no       -     -
"""


def after(spec: Spec[Any], commands: Mapping[str, Command], names: str, *before: Event) -> History:
    """What has happened once these commands are carried out, one after the other."""
    events = [*before]
    for name in names.split():
        events += spec.given(*events).when(commands[name]).events
    return events


def pairs(table: str) -> list[Any]:
    """Every state with every command, and what comes of it."""
    head, *rows = table.strip().splitlines()
    return [
        pytest.param(state, command, outcome, id=f"{state}-{command}")
        for state, *outcomes in map(str.split, rows)
        for command, outcome in zip(head.split(), outcomes, strict=True)
    ]


def assert_outcome(given: Given[Any], command: Command, outcome: str) -> None:
    match outcome:
        case "does":
            assert given.when(command).events
        case "-":
            given.when(command).then_nothing()
        case _:
            with pytest.raises(Rejected):
                given.when(command).events  # noqa: B018 - it decides


@pytest.mark.parametrize(("state", "command", "outcome"), pairs(ORDERING))
def test_an_order(state: str, command: str, outcome: str) -> None:
    assert_outcome(order.given(*orders[state]), of_orders[command], outcome)


@pytest.mark.parametrize(("state", "command", "outcome"), pairs(ORDERING))
def test_an_abandoned_order_takes_the_sagas_commands_as_before(
    state: str, command: str, outcome: str
) -> None:
    switched = {"abandon": "-", "resume": "does"}
    given = order.given(*orders[state], an_order.abandoned)
    assert_outcome(given, of_orders[command], switched.get(command, outcome))


@pytest.mark.parametrize(("state", "command", "outcome"), pairs(SHIPPING))
def test_a_shipment(state: str, command: str, outcome: str) -> None:
    history = after(shipment, of_shipments, parcels[state])
    assert_outcome(shipment.given(*history), of_shipments[command], outcome)


@pytest.mark.parametrize(("state", "command", "outcome"), pairs(SHIPPING))
def test_an_abandoned_shipment_takes_the_sagas_commands_as_before(
    state: str, command: str, outcome: str
) -> None:
    switched = {"dispatch": "no", "deliver": "no", "resume": "does"}
    history = after(shipment, of_shipments, parcels[state])
    given = shipment.given(*history, ShipmentAbandoned(order_id="42", reason="stuck"))
    assert_outcome(given, of_shipments[command], switched.get(command, outcome))


@pytest.mark.parametrize(("state", "command", "outcome"), pairs(INVENTORY))
def test_a_reservation(state: str, command: str, outcome: str) -> None:
    history = (
        [five, short] if state == "refused" else after(inventory, of_reservations, reservations[state], five)
    )
    assert_outcome(inventory.given(*history), of_reservations[command], outcome)
