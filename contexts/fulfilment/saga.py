"""The saga: which step follows from each fact it hears, and what it knows after it."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from contexts.fulfilment.course import next_commands, stage_of, timers_of
from contexts.fulfilment.events import (
    CommandFailed,
    Fact,
    FulfilmentAbandoned,
    FulfilmentEvent,
    FulfilmentRetried,
    StepTaken,
    Timer,
)
from contexts.fulfilment.knowledge import Failure, Saga, ask, learn
from contexts.fulfilment.settlement import settled


def decide(saga: Saga, fact: Fact, now: datetime, payment_timeout: timedelta) -> StepTaken | None:
    """Answer a fact with the step it calls for; None for a fact that changes nothing."""
    knowing = learn(saga, fact)
    if knowing is saga and not saga.failures:
        return None
    commands = tuple(next_commands(knowing))
    after = ask(knowing, commands)
    recovered = tuple(f.command_id for f in saga.failures if _recovered(f, after, fact))
    if knowing is saga and not recovered:
        return None
    wanted = timers_of(after)
    return StepTaken(
        order_id=after.order_id,
        heard=fact,
        stage=stage_of(after),
        commands=commands,
        timers_set=tuple(Timer(name=name, due=now + payment_timeout) for name in wanted - after.timers),
        timers_cancelled=tuple(sorted(after.timers - wanted)),
        recovered=recovered,
    )


def evolve(saga: Saga, event: FulfilmentEvent) -> Saga:
    """The saga after one of its own events."""
    match event:
        case StepTaken():
            after = ask(learn(saga, event.heard), event.commands)
            return replace(
                after,
                stage=event.stage,
                timers=after.timers.difference(event.timers_cancelled).union(
                    timer.name for timer in event.timers_set
                ),
                failures=tuple(f for f in after.failures if f.command_id not in event.recovered),
            )
        case CommandFailed():
            failure = Failure(event.command_id, event.command, event.return_id)
            others = tuple(f for f in saga.failures if f.command_id != event.command_id)
            return replace(saga, failures=(*others, failure))
        case FulfilmentRetried():
            left = tuple(f for f in saga.failures if f.command_id not in event.command_ids)
            return replace(saga, failures=left)
        case FulfilmentAbandoned():
            return replace(saga, stage=event.stage, failures=(), timers=frozenset())


def _recovered(failure: Failure, saga: Saga, fact: Fact) -> bool:
    """Whether a failed command no longer matters once a fact is heard."""
    if failure.return_id is not None:
        same = failure.return_id == getattr(fact, "return_id", None)
        return same and settled(failure.command, {type(fact)}, frozenset())
    return settled(failure.command, saga.heard | {type(fact)}, saga.asked)
