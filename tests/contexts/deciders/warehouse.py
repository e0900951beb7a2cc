"""The whole inventory as one thing to speak about: every stock and reservation, as the service sees them."""

from __future__ import annotations

from contexts.inventory import reservation as reservations
from contexts.inventory import stock as stocks
from contexts.inventory.commands import InventoryCommand
from contexts.inventory.decider import evolve, initial, primary, stock_stream, stream_of
from contexts.inventory.events import InventoryEvent
from contexts.inventory.reservation import Reservation
from contexts.inventory.stock import Stock, StockCommand
from tests.spec import Spec

Streams = dict[str, Stock | Reservation]


def decide_all(streams: Streams, command: InventoryCommand) -> tuple[InventoryEvent, ...]:
    """Decide on what the command touches, and on nothing else."""
    about = streams.get(primary(command), initial(primary(command)))
    if isinstance(command, StockCommand):
        assert isinstance(about, Stock)
        return stocks.decide(about, command)
    assert isinstance(about, Reservation)
    touched = reservations.touched(about, command)
    held = {sku: streams.get(stock_stream(sku), Stock()) for sku in touched}
    return reservations.decide(about, command, {sku: it for sku, it in held.items() if isinstance(it, Stock)})


def evolve_all(streams: Streams, event: InventoryEvent) -> Streams:
    """Every event changes its own stream."""
    stream = stream_of(event)
    return {**streams, stream: evolve(streams.get(stream, initial(stream)), event)}


inventory: Spec[Streams] = Spec({}, decide_all, evolve_all)
