"""Carries out the commands of customers: one stream, one decision."""

from __future__ import annotations

from contexts.customers.commands import CustomersCommand
from contexts.customers.decider import decide, evolve
from contexts.customers.events import CustomersEvent
from infra.runtime import Context, Session
from infra.settings import Settings


def stream_of(command: CustomersCommand) -> str:
    """The stream a command is about."""
    return f"customer-{command.customer_id}"


async def handle(session: Session, command: CustomersCommand) -> None:
    """Load, decide, record."""
    stream = stream_of(command)
    (customer,) = await session.load(stream)
    session.record(stream, decide(customer, command))


def context(_settings: Settings) -> Context:
    """The context; nothing in it differs between installations."""
    return Context(
        name="customers",
        commands=CustomersCommand,
        events=CustomersEvent,
        initial=lambda _: None,
        evolve=evolve,
        primary=stream_of,
        handle=handle,
    )
