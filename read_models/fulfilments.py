"""How far is an order's fulfilment, what does it wait for, and what went wrong? One document per order."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from contexts.fulfilment.events import (
    CommandFailed,
    FulfilmentAbandoned,
    FulfilmentEvent,
    FulfilmentRetried,
    Stage,
    StepTaken,
)
from contexts.messages import wire_name
from read_models.model import Occurrence, ReadModel, Source, latest
from read_models.reading import Page, ReadModels

TERMINAL = frozenset({Stage.COMPLETED, Stage.CANCELLED, Stage.ABANDONED})


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A command that could not be done and was not sent again since."""

    command_id: str
    command: str
    reason: str


class Fulfilment(msgspec.Struct, frozen=True, kw_only=True):
    """`stage` as the saga names it, `waiting_since` it is there; None once it is over.

    `stuck` while a failed command waits for an operator, `problem` the last one there was, `heard` the fact
    heard last, `attempts` how often it was started: 1 and 1 for each retry. `version` of the saga's stream.
    """

    order_id: str
    stage: str | None = None
    waiting_since: str | None = None
    stuck: bool = False
    problem: str | None = None
    failed: tuple[Failure, ...] = ()
    heard: str | None = None
    heard_at: str | None = None
    attempts: int = 1
    updated_at: str | None = None
    version: int = 0


def project(document: Fulfilment | None, occurrence: Occurrence) -> Fulfilment:
    """The fulfilment after one more event."""
    fulfilment = document or Fulfilment(order_id=occurrence.key)
    changed = _fulfilment(fulfilment, occurrence.event, occurrence.time)
    return msgspec.structs.replace(
        changed,
        stuck=bool(changed.failed),
        updated_at=latest(fulfilment.updated_at, occurrence.time),
        version=occurrence.version,
    )


def _fulfilment(fulfilment: Fulfilment, event: FulfilmentEvent, time: str) -> Fulfilment:
    match event:
        case StepTaken():
            return msgspec.structs.replace(
                _at(fulfilment, event.stage, time),
                heard=wire_name(type(event.heard)),
                heard_at=time,
                failed=_without(fulfilment.failed, event.recovered),
            )
        case CommandFailed():
            failure = Failure(command_id=event.command_id, command=event.command, reason=event.reason)
            others = _without(fulfilment.failed, (event.command_id,))
            return msgspec.structs.replace(
                fulfilment, failed=(*others, failure), problem=f"{event.command}: {event.reason}"
            )
        case FulfilmentRetried():
            return msgspec.structs.replace(
                fulfilment,
                failed=_without(fulfilment.failed, event.command_ids),
                attempts=fulfilment.attempts + 1,
            )
        case FulfilmentAbandoned():
            return msgspec.structs.replace(
                _at(fulfilment, event.stage, time), failed=(), problem=f"abandoned: {event.reason}"
            )
        case _:
            assert_never(event)


def _at(fulfilment: Fulfilment, stage: Stage, time: str) -> Fulfilment:
    if fulfilment.stage == stage:
        return fulfilment
    since = None if stage in TERMINAL else time
    return msgspec.structs.replace(fulfilment, stage=str(stage), waiting_since=since)


def _without(failed: tuple[Failure, ...], command_ids: tuple[str, ...]) -> tuple[Failure, ...]:
    return tuple(failure for failure in failed if failure.command_id not in command_ids)


FULFILMENTS = ReadModel(
    name="fulfilments",
    sources=(Source("fulfilment", FulfilmentEvent),),
    document=Fulfilment,
    project=project,
    indexes=((("stage", 1), ("_id", 1)), (("stuck", 1), ("_id", 1))),
)


async def get(models: ReadModels, order_id: str) -> dict[str, Any] | None:
    """An order's fulfilment, if it was begun."""
    return await models.get(FULFILMENTS, order_id)


async def list_by_order(
    models: ReadModels,
    *,
    stage: str | None = None,
    stuck: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Fulfilments by order id; raises CursorInvalid."""
    return await models.page(FULFILMENTS, {"stage": stage, "stuck": stuck}, limit=limit, cursor=cursor)
