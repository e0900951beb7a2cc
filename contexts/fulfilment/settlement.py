"""When a command of the saga is beyond doubt: which facts, or which later commands, settle it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from contexts.fulfilment.events import Fact, Stage, Step
from contexts.fulfilment.knowledge import Saga
from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import (
    ReservationReleased,
    ReservationShipped,
    StockRefused,
    StockReserved,
    StockReturned,
)
from contexts.messages import ReturnId, wire_name
from contexts.ordering.commands import AcceptReturn, CancelOrder, CompleteOrder, ConfirmOrder, MarkDispatched
from contexts.ordering.events import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    ReturnAccepted,
)
from contexts.payments.commands import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from contexts.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from contexts.shipping.commands import CancelShipment, CreateShipment
from contexts.shipping.events import ShipmentCancelled, ShipmentCreated, ShipmentDispatched

FACTS: dict[type[Step], frozenset[type[Fact]]] = {
    ReserveStock: frozenset({StockReserved, StockRefused, ReservationReleased}),
    ReleaseReservation: frozenset({ReservationReleased, StockRefused}),
    ShipReservation: frozenset({ReservationShipped}),
    ReturnStock: frozenset({StockReturned}),
    AuthorizePayment: frozenset({PaymentAuthorized, PaymentDeclined, PaymentVoided}),
    CapturePayment: frozenset({PaymentCaptured}),
    VoidPayment: frozenset({PaymentVoided, PaymentDeclined}),
    RefundPayment: frozenset({PaymentRefunded}),
    # A customer may cancel while the saga is confirming: the confirmation is refused, and that is no failure.
    ConfirmOrder: frozenset({OrderConfirmed, OrderCancelled}),
    CancelOrder: frozenset({OrderCancelled}),
    MarkDispatched: frozenset({OrderDispatched, OrderCompleted}),
    CompleteOrder: frozenset({OrderCompleted}),
    AcceptReturn: frozenset({ReturnAccepted}),
    CreateShipment: frozenset({ShipmentCreated, ShipmentDispatched, ShipmentCancelled}),
    CancelShipment: frozenset({ShipmentCancelled}),
}
"""Any of these facts shows that the command was done, or that it can never be and need not be."""

COUNTERED: dict[type[Step], type[Step]] = {
    ReserveStock: ReleaseReservation,
    AuthorizePayment: VoidPayment,
    CreateShipment: CancelShipment,
    ConfirmOrder: CancelOrder,
}
"""A command that makes sure of the opposite, whether or not the first one was carried out."""

NEEDS: dict[type[Step], type[Step]] = {
    CreateShipment: ConfirmOrder,
    CompleteOrder: MarkDispatched,
    AcceptReturn: RefundPayment,
}
"""What must have been done before a command makes sense; all else goes on when something fails."""

STEPS: dict[str, type[Step]] = {wire_name(kind): kind for kind in FACTS}


def settled(command: str, heard: AbstractSet[type[Fact]], asked: AbstractSet[type[Step]]) -> bool:
    """Whether a command (its wire name) is beyond doubt after these facts and commands."""
    kind = STEPS[command]
    return not FACTS[kind].isdisjoint(heard) or COUNTERED.get(kind) in asked


def obsolete(saga: Saga, command: str, return_id: ReturnId | None) -> bool:
    """Whether a command need not be sent, or sent again, as far as the saga knows."""
    if saga.stage is Stage.ABANDONED:
        return True
    return return_id is None and settled(command, saga.heard, saga.asked)


def needed_by(command: str) -> str | None:
    """The wire name of the command that must have been done before this one makes sense."""
    needed = NEEDS.get(STEPS[command])
    return wire_name(needed) if needed else None
