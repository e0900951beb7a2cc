"""Counts and times the commands of one context by their names and outcomes."""

from __future__ import annotations

from collections.abc import Collection

from prometheus_client import Counter

from infra.messages.commands import Answer, Refused, Repeated
from infra.observability.metrics.histogram import Tally
from infra.observability.metrics.registry import COMMAND_SECONDS, COMMANDS

OTHER = "other"
"""A command the context does not have: what others may send is endless, label values must not be."""


class CommandMeasures:
    """The measures of one context."""

    def __init__(self, context: str, names: Collection[str]) -> None:
        self._context = context
        self._names = frozenset(names)
        # Looking a child up by its labels costs more than counting with it.
        self._children: dict[tuple[str, str], tuple[Counter, Tally]] = {}

    def answered(self, name: str, answer: Answer, seconds: float) -> None:
        """Count one answer."""
        key = (name if name in self._names else OTHER, outcome_of(answer))
        children = self._children.get(key)
        if children is None:
            children = (
                COMMANDS.labels(self._context, *key),
                COMMAND_SECONDS.labels(self._context, key[0]),
            )
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)


def outcome_of(answer: Answer) -> str:
    """What became of a command, in a word."""
    if isinstance(answer, Refused):
        return answer.kind.value
    return "repeated" if isinstance(answer, Repeated) else "accepted"
