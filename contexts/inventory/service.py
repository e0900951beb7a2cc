"""Carries out the commands of the inventory: a reservation and its stocks change in one append."""

from __future__ import annotations

from contexts.inventory import reservation as reservations
from contexts.inventory import stock as stocks
from contexts.inventory.commands import InventoryCommand
from contexts.inventory.decider import evolve, initial, primary, stock_stream, stream_of
from contexts.inventory.events import InventoryEvent
from contexts.inventory.reservation import ReservationCommand
from contexts.inventory.stock import StockCommand
from infra.runtime.context import Context, Session
from infra.settings import Settings


async def handle(session: Session, command: InventoryCommand) -> None:
    """Load, decide, record."""
    if isinstance(command, StockCommand):
        await _change_stock(session, command)
    else:
        await _change_reservation(session, command)


async def _change_stock(session: Session, command: StockCommand) -> None:
    stream = stock_stream(command.sku)
    (stock,) = await session.load(stream)
    session.record(stream, stocks.decide(stock, command))


async def _change_reservation(session: Session, command: ReservationCommand) -> None:
    # The reservation before the stocks, the stocks sorted: two commands never wait for each other.
    (reservation,) = await session.load(primary(command))
    skus = reservations.touched(reservation, command)
    loaded = await session.load(*map(stock_stream, skus))
    for event in reservations.decide(reservation, command, dict(zip(skus, loaded, strict=True))):
        session.record(stream_of(event), [event])


def context(_settings: Settings) -> Context:
    """The context; nothing in it differs between installations."""
    return Context(
        name="inventory",
        commands=InventoryCommand,
        events=InventoryEvent,
        initial=initial,
        evolve=evolve,
        primary=primary,
        handle=handle,
    )
