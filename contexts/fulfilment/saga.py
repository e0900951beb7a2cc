"""The saga: which step follows from each fact it receives, and what it knows after it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from msgspec.structs import replace

from contexts.fulfilment.events import (
    CommandFailed,
    FactParked,
    FactReleased,
    FactRemembered,
    FulfilmentAbandoned,
    FulfilmentEvent,
    FulfilmentResumed,
    FulfilmentRetried,
    FulfilmentSettled,
    Stage,
    StepTaken,
    Timer,
)
from contexts.fulfilment.process import next_commands, no_longer_wanted, outstanding, stage_of, timers_of
from contexts.fulfilment.state import Failure, Saga, ask, learn, problem_of
from contexts.fulfilment.steps import Fact, identity
from contexts.messages import wire_name
from contexts.payments.commands import AuthorizePayment


def decide(
    saga: Saga, fact: Fact, now: datetime, payment_timeout: timedelta
) -> StepTaken | FactRemembered | None:
    """Answer a fact with the step it calls for; None for a fact that changes nothing."""
    knowing = learn(saga, fact)
    if knowing is saga and not saga.failures:
        return None
    if knowing.stage is None:
        return None if knowing is saga else FactRemembered(order_id=knowing.order_id, heard=fact)
    commands = tuple(next_commands(knowing))
    after = ask(knowing, commands)
    stage = stage_of(after)
    after = replace(after, stage=stage)
    # A payment that does not fit matters no more once the order is being undone: its money is let go.
    given_up = bool(after.undoing) and not saga.undoing
    recovered = tuple(f.failure_id for f in saga.failures if _recovered(f, after, fact, given_up=given_up))
    if knowing is saga and not recovered:
        return None
    wanted = timers_of(after)
    return StepTaken(
        order_id=after.order_id,
        heard=fact,
        stage=stage,
        commands=commands,
        timers_set=tuple(Timer(name=name, due=now + payment_timeout) for name in wanted - after.timers),
        timers_cancelled=tuple(sorted(after.timers - wanted)),
        recovered=recovered,
        problem="" if knowing is saga or given_up else _problem(saga, knowing, fact),
        outstanding=outstanding(after) if stage is Stage.ABANDONED else (),
    )


def _problem(before: Saga, knowing: Saga, fact: Fact) -> str:
    """Why what is known now does not fit the order: a fact, or one that was received before the order."""
    return next(filter(None, (problem_of(knowing, it) for it in (fact, *before.early))), "")


def evolve(saga: Saga, event: FulfilmentEvent) -> Saga:  # noqa: PLR0911 - a table
    """The saga after one of its own events."""
    match event:
        case StepTaken():
            return _stepped(saga, event)
        case FactRemembered():
            return learn(saga, event.heard)
        case CommandFailed():
            return _failed(saga, Failure(event.command_id, event.command, event.return_id))
        case FactParked():
            return _failed(saga, Failure(event.place, event.fact, retryable=False), event.order_id)
        case FactReleased():
            return _without(saga, event.place)
        case FulfilmentRetried():
            return _without(saga, *event.command_ids)
        case FulfilmentAbandoned():
            return replace(
                ask(saga, event.commands), stage=event.stage, failures=(), timers=frozenset(), operated=True
            )
        case FulfilmentSettled():
            return replace(
                ask(saga, event.commands),
                stage=event.stage,
                failures=(),
                settling=frozenset(map(identity, event.commands)),
                settlements=saga.settlements + 1,
                decision=event.decision,
            )
        case FulfilmentResumed():
            timers = saga.timers.union(timer.name for timer in event.timers_set)
            return replace(ask(saga, event.commands), stage=event.stage, timers=timers)
        case _:
            assert_never(event)


def _stepped(saga: Saga, event: StepTaken) -> Saga:
    after = ask(learn(saga, event.heard), event.commands)
    failures = tuple(f for f in after.failures if f.failure_id not in event.recovered)
    if event.problem:
        misfit = Failure(identity(event.heard), wire_name(AuthorizePayment), retryable=False)
        failures = (*failures, misfit)
    return replace(
        after,
        stage=event.stage,
        timers=after.timers.difference(event.timers_cancelled).union(
            timer.name for timer in event.timers_set
        ),
        failures=failures,
    )


def _failed(saga: Saga, failure: Failure, order_id: str = "") -> Saga:
    others = tuple(f for f in saga.failures if f.failure_id != failure.failure_id)
    return replace(saga, order_id=saga.order_id or order_id, failures=(*others, failure))


def _without(saga: Saga, *failure_ids: str) -> Saga:
    return replace(saga, failures=tuple(f for f in saga.failures if f.failure_id not in failure_ids))


def _recovered(failure: Failure, saga: Saga, fact: Fact, *, given_up: bool) -> bool:
    """Whether a failure no longer matters once a fact is received."""
    if not failure.retryable:
        # Only its retry or an operator ends a dead letter.
        return failure.command == wire_name(AuthorizePayment) and given_up
    step = failure.command if failure.return_id is None else f"{failure.command}:{failure.return_id}"
    return no_longer_wanted(replace(saga, received=saga.received | {identity(fact)}), step)
