"""Why is this order as it is? The tree from requests over commands and events to all that followed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from infra.messages.event_headers import Delivered
from read_models.queries.order_history import cause_of, commands_of, origins_of

STEP_TAKEN = "fulfilment.StepTaken"
WEBHOOK = "webhook:"
"""How the ids of commands begin that a payment provider's webhook gave rise to."""


class Cause(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A request from outside, a command or an event, and what it led to.

    A request's id is its correlation id. The name of a command from outside is not kept; a saga's is. A
    command that led to nothing changed nothing, or is still under way.
    """

    kind: Literal["request", "webhook", "command", "event"]
    id: str
    name: str = ""
    heard: str = ""
    """What a saga's step answers: the name of the fact."""
    position: str = ""
    """Such as `ordering:42`."""
    time: datetime | None = None
    actor: str = ""
    led_to: list[Cause] = msgspec.field(default_factory=list)


class _Named(msgspec.Struct):
    type: str


class _Step(msgspec.Struct):
    heard: _Named


def tree_of(events: Iterable[Delivered]) -> list[Cause]:
    """The requests that began it all, in order; events come causes first."""
    roots: list[Cause] = []
    known: dict[str, Cause] = {}
    events = list(events)
    origins = origins_of(events)
    for event in events:
        fact = _fact(event)
        cause = known.get(event.metadata.causation_id)
        if cause is None:
            origin = known.get(cause_of(event, origins))
            cause = known[event.metadata.causation_id] = _command(event)
            if origin is not None:
                # A command of a step that cannot be read.
                origin.led_to.append(cause)
            else:
                roots.append(_request(event, cause))
        elif cause.kind == "command" and cause.time is None:
            cause.time, cause.actor = fact.time, fact.actor
        cause.led_to.append(fact)
        known[event.event_id] = fact
        for number, command in enumerate(fact.led_to, start=1):
            # A command asked for again belongs to the event that asked for it first.
            known.setdefault(command.id, command)
            known[f"{event.stream}:{event.version}:{number}"] = command
    return roots


def _fact(event: Delivered) -> Cause:
    fact = Cause(
        kind="event",
        id=event.event_id,
        name=event.name,
        position=f"{event.context}:{event.position}",
        time=event.metadata.time,
        actor=event.metadata.actor,
    )
    if event.name == STEP_TAKEN:
        fact.heard = _step(event).heard.type
    fact.led_to = [
        Cause(kind="command", id=command, name=name) for command, name in commands_of(event).items()
    ]
    return fact


def _step(event: Delivered) -> _Step:
    try:
        return msgspec.json.decode(event.data, type=_Step)
    except msgspec.DecodeError:
        # An operator who traces an order may be after this very event: the rest of the tree is shown.
        return _Step(_Named("something unreadable"))


def _command(event: Delivered) -> Cause:
    metadata = event.metadata
    return Cause(kind="command", id=metadata.causation_id, time=metadata.time, actor=metadata.actor)


def _request(event: Delivered, command: Cause) -> Cause:
    metadata = event.metadata
    return Cause(
        kind="webhook" if metadata.causation_id.startswith(WEBHOOK) else "request",
        id=metadata.correlation_id,
        time=metadata.time,
        actor=metadata.actor,
        led_to=[command],
    )
