"""An order's reservation: made or refused as a whole, then released or shipped, and returned line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import assert_never

import msgspec

from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import (
    ReservationReleased,
    ReservationShipped,
    Shortage,
    StockAllocated,
    StockFreed,
    StockIssued,
    StockRefused,
    StockReserved,
    StockRestocked,
    StockReturned,
)
from contexts.inventory.stock import Stock, StockEvent
from contexts.messages import Rejected, ReturnId, Sku, Units, Unknown

ReservationCommand = ReserveStock | ReleaseReservation | ShipReservation | ReturnStock
"""What is asked of an order's reservation."""

ReservationEvent = StockReserved | StockRefused | ReservationReleased | ReservationShipped | StockReturned
"""What happens to an order's reservation."""

MOST_UNITS = 1_000_000
"""Of one SKU in one order; the largest quantity an event can carry."""


class Status(StrEnum):
    """What became of an order's wish for stock."""

    UNKNOWN = "unknown"
    RESERVED = "reserved"
    REFUSED = "refused"
    RELEASED = "released"
    SHIPPED = "shipped"


class Reservation(msgspec.Struct, frozen=True):
    """What an order holds, one line for each SKU; once shipped, what can still come back."""

    status: Status = Status.UNKNOWN
    lines: tuple[Units, ...] = ()
    returns: frozenset[ReturnId] = frozenset()


def touched(reservation: Reservation, command: ReservationCommand) -> tuple[Sku, ...]:
    """The SKUs whose stock a command may change, sorted: whoever needs several takes them in this order."""
    match command, reservation.status:
        case ReserveStock(), Status.UNKNOWN:
            return tuple(sorted({line.sku for line in command.lines}))
        case ((ReleaseReservation() | ShipReservation()), Status.RESERVED):
            return tuple(line.sku for line in reservation.lines)
        case ReturnStock(), Status.SHIPPED:
            held = {line.sku for line in reservation.lines}
            return tuple(sorted(held & {line.sku for line in command.lines}))
        case _:
            return ()


def decide(  # noqa: PLR0911 - a table, a row for each answer
    reservation: Reservation, command: ReservationCommand, stocks: Mapping[Sku, Stock]
) -> tuple[ReservationEvent | StockEvent, ...]:
    """Answer a command with the facts it causes; none if nothing changes. `stocks` holds what is touched."""
    match command, reservation.status:
        case ReserveStock(), Status.UNKNOWN:
            return _reserve(command, stocks)
        case ReserveStock(), _:
            # Also when released: the order was given up before this command came through.
            return ()
        case ReleaseReservation(), Status.UNKNOWN | Status.RESERVED:
            return _release(command, reservation)
        case ReleaseReservation(), Status.REFUSED | Status.RELEASED:
            return ()
        case _, Status.UNKNOWN:
            raise Unknown(f"nothing is reserved for order {command.order_id}")
        case ShipReservation(), Status.RESERVED:
            return _ship(command, reservation)
        case ShipReservation(), Status.SHIPPED:
            return ()
        case ReturnStock(), Status.SHIPPED:
            return _take_back(command, reservation)
        case _:
            raise Rejected(f"cannot {_verb(command)} a reservation that is {reservation.status}")


def _reserve(command: ReserveStock, stocks: Mapping[Sku, Stock]) -> tuple[ReservationEvent | StockEvent, ...]:
    order_id, wanted = command.order_id, _merged(command.lines)
    shortages = tuple(
        Shortage(sku=line.sku, wanted=line.quantity, available=stocks[line.sku].available)
        for line in wanted
        if line.quantity > stocks[line.sku].available
    )
    if shortages:
        return (StockRefused(order_id=order_id, shortages=shortages),)
    allocated = [StockAllocated(sku=it.sku, order_id=order_id, quantity=it.quantity) for it in wanted]
    return (StockReserved(order_id=order_id, lines=wanted), *allocated)


def _release(
    command: ReleaseReservation, reservation: Reservation
) -> tuple[ReservationEvent | StockEvent, ...]:
    order_id, held = command.order_id, reservation.lines
    freed = [StockFreed(sku=it.sku, order_id=order_id, quantity=it.quantity) for it in held]
    return (ReservationReleased(order_id=order_id, lines=held), *freed)


def _ship(command: ShipReservation, reservation: Reservation) -> tuple[ReservationEvent | StockEvent, ...]:
    order_id, held = command.order_id, reservation.lines
    issued = [StockIssued(sku=it.sku, order_id=order_id, quantity=it.quantity) for it in held]
    return (ReservationShipped(order_id=order_id, lines=held), *issued)


def _take_back(command: ReturnStock, reservation: Reservation) -> tuple[ReservationEvent | StockEvent, ...]:
    if command.return_id in reservation.returns:
        return ()
    order_id, return_id = command.order_id, command.return_id
    back, left = _merged(command.lines), {line.sku: line.quantity for line in reservation.lines}
    for line in back:
        if line.quantity > left.get(line.sku, 0):
            raise Rejected(f"{line.sku}: only {left.get(line.sku, 0)} shipped to order {order_id} can return")
    restocked = [
        StockRestocked(sku=it.sku, order_id=order_id, return_id=return_id, quantity=it.quantity)
        for it in back
    ]
    return (StockReturned(order_id=order_id, return_id=return_id, lines=back), *restocked)


def _merged(lines: Iterable[Units]) -> tuple[Units, ...]:
    units: Counter[Sku] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    for sku, quantity in units.items():
        if quantity > MOST_UNITS:
            raise Rejected(f"{sku}: more than {MOST_UNITS} units of one product")
    return tuple(Units(sku=sku, quantity=units[sku]) for sku in sorted(units))


def _verb(command: ReservationCommand) -> str:
    match command:
        case ReserveStock():
            return "make"
        case ReleaseReservation():
            return "release"
        case ShipReservation():
            return "ship"
        case ReturnStock():
            return "take stock back into"
        case _:
            assert_never(command)


def evolve(reservation: Reservation, event: ReservationEvent) -> Reservation:
    """The reservation after one more fact."""
    match event:
        case StockReserved():
            return Reservation(Status.RESERVED, event.lines)
        case StockRefused():
            return Reservation(Status.REFUSED)
        case ReservationReleased():
            return Reservation(Status.RELEASED)
        case ReservationShipped():
            return Reservation(Status.SHIPPED, event.lines)
        case StockReturned():
            back = {line.sku: line.quantity for line in event.lines}
            return Reservation(
                reservation.status,
                tuple(
                    Units(sku=line.sku, quantity=line.quantity - back.get(line.sku, 0))
                    for line in reservation.lines
                ),
                reservation.returns | {event.return_id},
            )
        case _:
            assert_never(event)
