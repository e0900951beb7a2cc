"""What an operator may ask of the fulfilment saga."""

from __future__ import annotations

from contexts.messages import Command, OrderId, Text


class FulfilmentCommandMessage(Command, tag=lambda name: f"fulfilment.{name}"):
    """A command to fulfilment."""


class RetryFulfilment(FulfilmentCommandMessage):
    """Send again what could not be done."""

    order_id: OrderId


class AbandonFulfilment(FulfilmentCommandMessage):
    """Stop trying; a person takes over."""

    order_id: OrderId
    reason: Text


FulfilmentCommand = RetryFulfilment | AbandonFulfilment
"""Every command of fulfilment."""
