"""A second, small process manager: a trial ends after a while unless it is paid.

It is made of messages and two functions, `decide` and `evolve`; everything else is `infra.sagas`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import dataclass_transform

import msgspec

from infra.runtime.context import Context, Session
from infra.sagas.outbox import OutboxMessage
from infra.sagas.process_manager import ProcessManager, Step
from infra.sagas.retry_policy import RetryPolicy
from infra.sagas.runner import SagaRunner

TRIAL_LASTS = timedelta(seconds=0.3)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Every message is about an account."""

    account: str


class TrialStarted(Message, tag="shop.TrialStarted"):
    """Received: somebody begins to try it."""


class TrialPaid(Message, tag="shop.TrialPaid"):
    """Received: they stay."""


class OpenAccount(Message, tag="accounts.OpenAccount"):
    """Sent."""


class CloseAccount(Message, tag="accounts.CloseAccount"):
    """Sent to undo it."""


class Ends(msgspec.Struct, frozen=True):
    """The timer."""

    due: datetime
    name: str = "ends"


class Took(Message, tag="trials.Took"):
    """Own: an event was received."""

    received: str


class TimedOut(Message, tag="trials.TimedOut"):
    """Own, and received from the timer."""


class Failed(Message, tag="trials.Failed"):
    """Own: a command could not be carried out."""

    command_id: str
    reason: str


class Retried(Message, tag="trials.Retried"):
    """Own: an operator had it sent again."""


class Retry(Message, tag="trials.Retry"):
    """An operator's command."""


class State(msgspec.Struct, frozen=True):
    """What the process manager knows of an account."""

    paid: bool = False


def decide(state: State, event: TrialStarted | TrialPaid | TimedOut, now: datetime) -> Step | None:
    """A trial opens an account, and closes it if nobody has paid in time."""
    account = event.account
    match event:
        case TrialStarted():
            opens, ends = OpenAccount(account=account), Ends(now + TRIAL_LASTS)
            return Step(Took(account=account, received="started"), commands=(opens,), timers_set=(ends,))
        case TrialPaid():
            return Step(Took(account=account, received="paid"), timers_cancelled=("ends",))
        case TimedOut():
            return None if state.paid else Step(event, commands=(CloseAccount(account=account),))


def evolve(state: State, event: Took | TimedOut | Failed | Retried) -> State:
    """The state after one more event."""
    return State(paid=True) if isinstance(event, Took) and event.received == "paid" else state


def failed(message: OutboxMessage, reason: str) -> Failed:
    """What is recorded of a command that could not be carried out."""
    return Failed(account=message.key, command_id=message.command_id, reason=reason)


def trials(policy: RetryPolicy) -> Context:
    """The context."""
    runner = SagaRunner(
        ProcessManager(
            name="trials",
            key_of=lambda event: str(event.account),
            decide=decide,
            failed=failed,
            timer_fired=lambda account, _: TimedOut(account=account),
        ),
        policy,
    )

    async def handle(session: Session, command: Retry) -> None:
        stream = f"trials-{command.account}"
        await session.load(stream)
        session.record(stream, [Retried(account=command.account)])
        await runner.retry(session, [f"{stream}:accounts.OpenAccount"])

    return Context(
        name="trials",
        commands=Retry,
        events=Took | TimedOut | Failed | Retried,
        initial=lambda _: State(),
        evolve=evolve,
        primary=lambda command: f"trials-{command.account}",
        handle=handle,
        receives={"shop": TrialStarted | TrialPaid},
        react=runner.react,
        on_dead_letter=runner.on_dead_letter,
        background_workers=runner.background_workers,
    )
