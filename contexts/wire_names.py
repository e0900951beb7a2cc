"""The wire names of every event this build knows, by the context that records it."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Mapping
from typing import Any

from contexts import NAMES
from contexts.messages import wire_name


def _kinds(context: str) -> tuple[type, ...]:
    """The members of `contexts.<name>.events.<Name>Event`: a union, or the one event there is."""
    events: Any = getattr(
        importlib.import_module(f"contexts.{context}.events"), f"{context.capitalize()}Event"
    )
    return typing.get_args(events) or (events,)


EVENTS: Mapping[str, frozenset[str]] = {
    context: frozenset(map(wire_name, _kinds(context))) for context in NAMES
}
"""What is not in it was recorded by a newer build."""
