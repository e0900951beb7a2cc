"""Sentences about the saga: given what it heard, when it receives a fact, then it asks for this."""

from __future__ import annotations

from contexts.fulfilment import operator
from contexts.fulfilment.commands import FulfilmentCommand
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
from contexts.fulfilment.saga import decide, evolve
from contexts.fulfilment.state import Saga
from contexts.fulfilment.steps import Fact, Step
from tests.contexts.fulfilment.messages import NOON, TIMEOUT

OWN = (
    StepTaken,
    FactRemembered,
    CommandFailed,
    FactParked,
    FactReleased,
    FulfilmentRetried,
    FulfilmentAbandoned,
    FulfilmentSettled,
    FulfilmentResumed,
)


class Heard:
    """What came of a fact."""

    def __init__(self, before: Saga, step: StepTaken | FactRemembered | None) -> None:
        self._before = before
        self.remembered = isinstance(step, FactRemembered)
        self.step = step if isinstance(step, StepTaken) else None

    def then(self, stage: Stage, *commands: Step) -> Heard:
        assert self.step is not None, "nothing happened"
        assert self.step.stage is stage
        assert self.step.commands == commands
        return self

    def with_timer(self, *timers: Timer) -> Heard:
        assert self.step is not None
        assert self.step.timers_set == timers
        return self

    def without_timer(self, *names: str) -> Heard:
        assert self.step is not None
        assert self.step.timers_cancelled == names
        return self

    def recovering(self, *command_ids: str) -> Heard:
        assert self.step is not None
        assert self.step.recovered == command_ids
        return self

    def with_problem(self, text: str) -> Heard:
        assert self.step is not None
        assert self.step.problem == text
        return self

    def then_remembered(self) -> None:
        assert self.remembered

    def then_nothing_happened(self) -> None:
        assert not self.remembered, "remembered"
        assert self.step is None, self.step


class Story:
    """A saga with what it has heard so far."""

    def __init__(self, saga: Saga | None = None) -> None:
        self.saga = saga or Saga()

    def given(self, *history: Fact | FulfilmentEvent) -> Story:
        """Facts are decided on as they would be; the saga's own events are taken as they are."""
        saga = self.saga
        for happened in history:
            event = happened if isinstance(happened, OWN) else decide(saga, happened, NOON, TIMEOUT)
            if event is not None:
                saga = evolve(saga, event)
        return Story(saga)

    def when(self, fact: Fact) -> Heard:
        return Heard(self.saga, decide(self.saga, fact, NOON, TIMEOUT))

    def asked(self, command: FulfilmentCommand) -> tuple[FulfilmentEvent, ...]:
        return operator.decide(self.saga, command, NOON, TIMEOUT)
