"""Carries out the commands of shipping: one stream, one decision."""

from __future__ import annotations

from contexts.shipping.commands import ShippingCommand
from contexts.shipping.decider import Shipment, decide, evolve
from contexts.shipping.events import ShippingEvent
from infra.runtime.context import Context, Session
from infra.settings import Settings


def stream_of(command: ShippingCommand) -> str:
    """The stream a command is about."""
    return f"shipment-{command.order_id}"


async def handle(session: Session, command: ShippingCommand) -> None:
    """Load, decide, record."""
    stream = stream_of(command)
    (shipment,) = await session.load(stream)
    session.record(stream, decide(shipment, command))


def context(_settings: Settings) -> Context:
    """The context; nothing in it differs between installations."""
    return Context(
        name="shipping",
        commands=ShippingCommand,
        events=ShippingEvent,
        initial=lambda _: Shipment(),
        evolve=evolve,
        primary=stream_of,
        handle=handle,
    )
