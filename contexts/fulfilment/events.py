"""What the fulfilment saga has heard, decided and run into."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from contexts.inventory.commands import ReleaseReservation, ReserveStock, ReturnStock, ShipReservation
from contexts.inventory.events import (
    ReservationReleased,
    ReservationShipped,
    StockRefused,
    StockReserved,
    StockReturned,
)
from contexts.messages import Event, OrderId, ReturnId, Time
from contexts.ordering.commands import AcceptReturn, CancelOrder, CompleteOrder, ConfirmOrder, MarkDispatched
from contexts.ordering.events import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderPlaced,
    ReturnAccepted,
    ReturnRequested,
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
from contexts.shipping.events import (
    ReturnReceived,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
)


class Stage(StrEnum):
    """Where an order's fulfilment is; the last three are terminal."""

    RESERVING = "reserving"
    AUTHORIZING = "authorizing"
    CONFIRMING = "confirming"
    AWAITING_DISPATCH = "awaiting-dispatch"
    DISPATCHED = "dispatched"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


class FulfilmentEventMessage(Event, tag=lambda name: f"fulfilment.{name}"):
    """An event of fulfilment."""


class TimerFired(FulfilmentEventMessage):
    """A timer the saga had set is due; it stands among the facts the saga hears."""

    order_id: OrderId
    timer: str


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A wake-up call the saga asks for; setting the same name again replaces it."""

    name: str
    due: Time


Fact = (
    OrderPlaced
    | OrderConfirmed
    | OrderCancelled
    | OrderDispatched
    | OrderCompleted
    | ReturnRequested
    | ReturnAccepted
    | StockReserved
    | StockRefused
    | ReservationReleased
    | ReservationShipped
    | StockReturned
    | PaymentAuthorized
    | PaymentDeclined
    | PaymentCaptured
    | PaymentVoided
    | PaymentRefunded
    | ShipmentCreated
    | ShipmentDispatched
    | ShipmentDelivered
    | ShipmentCancelled
    | ReturnReceived
    | TimerFired
)
"""What the saga listens to."""

Step = (
    ReserveStock
    | ReleaseReservation
    | ShipReservation
    | ReturnStock
    | AuthorizePayment
    | CapturePayment
    | VoidPayment
    | RefundPayment
    | ConfirmOrder
    | CancelOrder
    | MarkDispatched
    | CompleteOrder
    | AcceptReturn
    | CreateShipment
    | CancelShipment
)
"""What the saga asks the other contexts to do."""


class StepTaken(FulfilmentEventMessage):
    """A fact was heard and answered with commands; all that follows from it, in one event.

    The n-th command (from 1) has the id `<stream>:<version of this event>:<n>`. `recovered` names failed
    commands that trouble nobody any more: their effect was heard after all, or nothing needs it now. Without
    any failed command left the order is no longer stuck.
    """

    order_id: OrderId
    heard: Fact
    stage: Stage
    commands: tuple[Step, ...] = ()
    timers_set: tuple[Timer, ...] = ()
    timers_cancelled: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()


class CommandFailed(FulfilmentEventMessage):
    """A command was refused, or not done within all its tries: the order is stuck until an operator acts.

    `command` is its wire name; `return_id` the return it belongs to, if it belongs to one.
    """

    order_id: OrderId
    command_id: str
    command: str
    reason: str
    return_id: ReturnId | None = None


class FulfilmentRetried(FulfilmentEventMessage):
    """An operator had the failed commands sent again, under their first ids."""

    order_id: OrderId
    command_ids: tuple[str, ...]


class FulfilmentAbandoned(FulfilmentEventMessage):
    """An operator ended the saga; nothing more is sent for this order.

    `stage` is `completed` if only a return of a completed order was given up.
    """

    order_id: OrderId
    reason: str
    stage: Stage = Stage.ABANDONED


FulfilmentEvent = StepTaken | CommandFailed | FulfilmentRetried | FulfilmentAbandoned
"""Every event of fulfilment that is stored."""
