"""Carries out the commands about payments; the provider is asked before anything is recorded."""

from __future__ import annotations

from typing import assert_never

from contexts.payments.commands import (
    AuthorizePayment,
    CapturePayment,
    PaymentsCommand,
    RefundPayment,
    VoidPayment,
)
from contexts.payments.decider import Payment, decide, evolve, question
from contexts.payments.events import PaymentsEvent
from contexts.payments.http_provider import HttpProvider
from contexts.payments.provider import Answer, Provider
from infra.runtime import Context, Session
from infra.settings import Settings


def stream_of(command: PaymentsCommand) -> str:
    """The stream a command is about."""
    return f"payment-{command.order_id}"


async def ask(provider: Provider, command: PaymentsCommand) -> Answer:
    """Put a command to the provider; raises Unavailable."""
    match command:
        case AuthorizePayment(order_id=order_id, amount=amount, currency=currency, payment_method=method):
            return await provider.authorize(order_id, amount, currency, method)
        case CapturePayment(order_id=order_id):
            return await provider.capture(order_id)
        case VoidPayment(order_id=order_id):
            return await provider.void(order_id)
        case RefundPayment(order_id=order_id, return_id=return_id, amount=amount):
            return await provider.refund(order_id, return_id, amount)
        case _:
            assert_never(command)


def payments(provider: Provider) -> Context:
    """The context, with the provider it asks."""

    async def handle(session: Session, command: PaymentsCommand) -> None:
        """Load, ask, decide, record. Asking again after a conflict or a crash has no second effect."""
        stream = stream_of(command)
        (payment,) = await session.load(stream)
        asked = question(payment, command)
        answer = await ask(provider, asked) if asked else None
        session.record(stream, decide(payment, command, answer))

    return Context(
        name="payments",
        commands=PaymentsCommand,
        events=PaymentsEvent,
        initial=lambda _: Payment(),
        evolve=evolve,
        primary=stream_of,
        handle=handle,
    )


def context(settings: Settings) -> Context:
    """The context, asking the provider that the settings name."""
    return payments(HttpProvider(settings.provider_url, settings.provider_timeout))
