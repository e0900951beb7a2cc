"""How far is an order's fulfilment, what does it wait for, and what went wrong? One document per order."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from contexts.fulfilment.events import (
    TERMINAL,
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
)
from contexts.fulfilment.steps import identity
from contexts.messages import wire_name
from read_models.projection.documents import Page, ReadModels
from read_models.projection.model import Occurrence, ReadModel, Source, latest


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the order is stuck: a command that could not be done, or a fact that does not fit or is parked.

    `command` is the command's wire name, or the fact's; `command_id` the command's id, or the fact's place.
    """

    command_id: str
    command: str
    reason: str


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decided on an abandoned order; `amount` (minor units) of a refund."""

    reason: str
    payment: str | None = None
    amount: int | None = None
    stock: str | None = None


class Fulfilment(msgspec.Struct, frozen=True, kw_only=True):
    """`stage` as the saga names it, `waiting_since` it is there; None once it is over.

    `stuck` while a failure waits for an operator, `problem` the last one there was, `heard` the fact heard
    last, `attempts` how often it was started: 1 and 1 for each retry. `outstanding` is what an abandoned
    order still holds, `settlement` what an operator decided on that; both are left out of other documents.
    `version` of the saga's stream.
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
    outstanding: tuple[str, ...] | UnsetType = UNSET
    settlement: Settlement | UnsetType = UNSET


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


def _fulfilment(  # noqa: PLR0911 - a table, a row for each event
    fulfilment: Fulfilment, event: FulfilmentEvent, time: str
) -> Fulfilment:
    match event:
        case StepTaken():
            return _stepped(fulfilment, event, time)
        case FactRemembered():
            return msgspec.structs.replace(fulfilment, heard=wire_name(type(event.heard)), heard_at=time)
        case CommandFailed():
            return _failed(fulfilment, event.command_id, event.command, event.reason)
        case FactParked():
            return _failed(fulfilment, event.place, event.fact, f"dead letter {event.place}: {event.reason}")
        case FactReleased():
            return msgspec.structs.replace(fulfilment, failed=_without(fulfilment.failed, (event.place,)))
        case FulfilmentRetried():
            return msgspec.structs.replace(
                fulfilment,
                failed=_without(fulfilment.failed, event.command_ids),
                attempts=fulfilment.attempts + 1,
            )
        case FulfilmentAbandoned():
            return msgspec.structs.replace(
                _at(fulfilment, event.stage, time),
                failed=(),
                problem=f"abandoned: {event.reason}",
                outstanding=event.outstanding,
            )
        case FulfilmentSettled():
            settlement = Settlement(
                reason=event.reason,
                payment=event.payment or None,
                amount=event.amount or None,
                stock=event.stock or None,
            )
            settled = msgspec.structs.replace(
                fulfilment,
                settlement=settlement,
                failed=(),
                outstanding=fulfilment.outstanding if event.stage is Stage.ABANDONED else UNSET,
            )
            return _at(settled, event.stage, time)
        case FulfilmentResumed():
            return msgspec.structs.replace(
                _at(fulfilment, event.stage, time), outstanding=UNSET, attempts=fulfilment.attempts + 1
            )
        case _:
            assert_never(event)


def _stepped(fulfilment: Fulfilment, step: StepTaken, time: str) -> Fulfilment:
    after = msgspec.structs.replace(
        _at(fulfilment, step.stage, time),
        heard=wire_name(type(step.heard)),
        heard_at=time,
        failed=_without(fulfilment.failed, step.recovered),
        outstanding=step.outstanding if step.stage is Stage.ABANDONED else UNSET,
    )
    if step.problem:
        return _failed(after, identity(step.heard), wire_name(type(step.heard)), step.problem)
    return after


def _failed(fulfilment: Fulfilment, failure_id: str, name: str, reason: str) -> Fulfilment:
    failure = Failure(command_id=failure_id, command=name, reason=reason)
    others = _without(fulfilment.failed, (failure_id,))
    return msgspec.structs.replace(fulfilment, failed=(*others, failure), problem=f"{name}: {reason}")


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
