"""Sentences about a decider: given what happened, when this is asked, then that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import pytest

from contexts.messages import Command, Event, Rejected, Unknown

S = TypeVar("S")


class Outcome:
    """What came of a command."""

    def __init__(self, attempt: Callable[[], Sequence[Event]]) -> None:
        self._attempt = attempt

    @property
    def events(self) -> tuple[Event, ...]:
        """The facts that follow; raises Rejected."""
        return tuple(self._attempt())

    def then(self, *events: Event) -> None:
        """Exactly these facts follow."""
        assert self.events == events

    def then_nothing(self) -> None:
        """The command is accepted and changes nothing."""
        assert self.events == ()

    def then_rejected(self, *words: str) -> None:
        """A rule refuses the command; its message has these words."""
        rule = self._refusal(Rejected)
        assert all(word in rule for word in words), rule

    def then_unknown(self, *words: str) -> None:
        """The command is refused because what it is about does not exist; the message has these words."""
        rule = self._refusal(Unknown)
        assert all(word in rule for word in words), rule

    def _refusal(self, kind: type[Rejected]) -> str:
        with pytest.raises(Rejected) as refused:
            self._attempt()
        assert type(refused.value) is kind, refused.value
        return refused.value.rule


class Given(Generic[S]):
    """Some history."""

    def __init__(self, state: S, decide: Callable[..., Sequence[Any]]) -> None:
        self.state = state
        self._decide = decide

    def when(self, command: Command, *further: object) -> Outcome:
        """Ask for something; `further` is what the decision also depends on."""
        return Outcome(lambda: self._decide(self.state, command, *further))


class Spec(Generic[S]):
    """A decider to speak about: `order.given(placed).when(confirm).then(confirmed)`."""

    def __init__(
        self, initial: S, decide: Callable[..., Sequence[Any]], evolve: Callable[[S, Any], S]
    ) -> None:
        self._initial = initial
        self._decide = decide
        self._evolve = evolve

    def given(self, *events: Event) -> Given[S]:
        """After these events."""
        state = self._initial
        for event in events:
            state = self._evolve(state, event)
        return Given(state, self._decide)

    def when(self, command: Command, *further: object) -> Outcome:
        """After nothing at all."""
        return self.given().when(command, *further)
