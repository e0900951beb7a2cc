"""Carries out the commands about payments; what the provider is asked is recorded before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from contexts.messages import Rejected
from contexts.payments.answers import answered
from contexts.payments.bookkeeping import Bookkeeping, OpenBooks, checking
from contexts.payments.books import REQUEST as BOOKS
from contexts.payments.commands import CheckPayment, PaymentsCommand
from contexts.payments.decider import Payment, Undecided, decide, evolve, intents, question
from contexts.payments.events import (
    CaptureRequested,
    PaymentMismatched,
    PaymentRequested,
    PaymentsEvent,
    RefundRequested,
    VoidRequested,
)
from contexts.payments.http_provider import HttpProvider
from contexts.payments.provider import Answer, Provider, Request, StatusRequest
from infra.observability.metrics.instruments import payment_mismatched
from infra.runtime.context import BackgroundWorker, Context, RunningContext, Session, Unavailable
from infra.settings import Settings


def stream_of(command: PaymentsCommand) -> str:
    """The stream a command is about."""
    return f"payment-{command.order_id}"


async def ask(provider: Provider, request: Request) -> Answer:
    """Put a question to the provider; raises Unavailable."""
    match request:
        case PaymentRequested():
            return await provider.authorize(request)
        case CaptureRequested():
            return await provider.capture(request)
        case VoidRequested():
            return await provider.void(request)
        case RefundRequested():
            return await provider.refund(request)
        case StatusRequest(order_id=order_id):
            return await provider.payment(order_id)
        case _:
            assert_never(request)


async def carry_out(provider: Provider, session: Session, command: PaymentsCommand) -> None:
    """Ask and record until the command is decided.

    What is asked is committed first: after a crash, a conflict or an answer that never came, the same
    question is asked again under the same key, and has no second effect.
    """
    stream = stream_of(command)
    answers: dict[type[Request], Answer] = {}
    payment: Payment
    (payment,) = await session.load(stream)
    while (request := question(payment, command, answers)) is not None:
        session.record(stream, intents(payment, command, request))
        if session.changes:
            await session.commit_so_far()
            (payment,) = await session.load(stream)
        answer = await ask(provider, request)
        answers[type(request)] = answer
        facts = answered(payment, request, answer)
        if any(isinstance(fact, PaymentMismatched) for fact in facts):
            session.after_commit(payment_mismatched)
        session.record(stream, facts)
        (payment,) = await session.load(stream)
    session.record(stream, decide(payment, command, answers))


def payments(provider: Provider) -> Context:
    """The context, with the provider it asks."""

    async def handle(session: Session, command: PaymentsCommand) -> None:
        try:
            await carry_out(provider, session, command)
        except (Rejected, Undecided) as refusal:
            # What the provider's answers told stays true.
            if session.changes:
                await session.commit_so_far()
            if isinstance(refusal, Undecided):
                raise Unavailable(str(refusal)) from refusal
            raise

    def background_workers(running: RunningContext) -> Sequence[BackgroundWorker]:
        check = checking(running.commands)
        return (
            OpenBooks(running.nats, provider),
            Bookkeeping(running.store, running.streams, provider, running.settings, check),
        )

    return Context(
        name="payments",
        commands=PaymentsCommand,
        events=PaymentsEvent,
        initial=lambda _: Payment(),
        evolve=evolve,
        primary=stream_of,
        handle=handle,
        background_workers=background_workers,
        # What the bookkeeping has checked.
        sends=(CheckPayment,),
        requests=(BOOKS,),
    )


def context(settings: Settings) -> Context:
    """The context, asking the provider that the settings name."""
    return payments(HttpProvider(settings.provider_url, settings.provider_timeout))
