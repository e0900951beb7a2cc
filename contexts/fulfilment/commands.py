"""What an operator may ask of the fulfilment saga."""

from __future__ import annotations

from enum import StrEnum

from contexts.messages import Command, OrderId, Price, Text


class PaymentSettlement(StrEnum):
    """What becomes of the money of an abandoned order."""

    VOID = "void"
    CAPTURE = "capture"
    REFUND = "refund"
    OUTSIDE = "outside"


class StockSettlement(StrEnum):
    """What becomes of the stock that is reserved for an abandoned order."""

    RELEASE = "release"
    SHIP = "ship"
    OUTSIDE = "outside"


class FulfilmentCommandMessage(Command, tag=lambda name: f"fulfilment.{name}"):
    """A command to fulfilment."""


class RetryFulfilment(FulfilmentCommandMessage):
    """Send the failed commands of a stuck order again.

    Refused if no command has failed, or if those that failed cannot be retried.
    """

    order_id: OrderId


class AbandonFulfilment(FulfilmentCommandMessage):
    """Stop the fulfilment of a stuck order: nothing more is done until it is settled or resumed.

    Refused for an order that is not stuck.
    """

    order_id: OrderId
    reason: Text


class SettleFulfilment(FulfilmentCommandMessage):
    """Decide what happens to the money and the stock of an abandoned order.

    `payment` (void, capture, refund with an `amount` in minor units, outside) is needed while money is
    outstanding, `stock` (release, ship, outside) while stock is reserved. `outside`: an operator has settled
    it outside this system. Returns that wait for their refund are accepted.

    Refused for an order that is not abandoned, or if what is outstanding needs another decision.
    """

    order_id: OrderId
    reason: Text
    payment: PaymentSettlement | None = None
    amount: Price | None = None
    stock: StockSettlement | None = None


class ResumeFulfilment(FulfilmentCommandMessage):
    """Continue the fulfilment of an abandoned order where it stopped.

    Refused for an order that is not abandoned, once its settlement has begun, or if its payment does not
    match.
    """

    order_id: OrderId
    reason: Text


FulfilmentCommand = RetryFulfilment | AbandonFulfilment | SettleFulfilment | ResumeFulfilment
"""Every command of fulfilment."""
