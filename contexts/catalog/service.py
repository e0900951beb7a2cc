"""Carries out the commands of the catalog: one stream, one decision."""

from __future__ import annotations

from contexts.catalog.commands import CatalogCommand
from contexts.catalog.decider import decide, evolve
from contexts.catalog.events import CatalogEvent
from infra.runtime.context import Context, Session
from infra.settings import Settings


def stream_of(command: CatalogCommand) -> str:
    """The stream a command is about."""
    return f"product-{command.sku}"


async def handle(session: Session, command: CatalogCommand) -> None:
    """Load, decide, record."""
    stream = stream_of(command)
    (product,) = await session.load(stream)
    session.record(stream, decide(product, command))


def context(_settings: Settings) -> Context:
    """The context; nothing in it differs between installations."""
    return Context(
        name="catalog",
        commands=CatalogCommand,
        events=CatalogEvent,
        initial=lambda _: None,
        evolve=evolve,
        primary=stream_of,
        handle=handle,
    )
