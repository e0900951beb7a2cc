"""Runs the saga: hears the other contexts, does what the steps ask for, obeys operators."""

from __future__ import annotations

import functools
import operator
import typing
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contexts.fulfilment import decider
from contexts.fulfilment.alarms import TIMER, Alarms, timer_key
from contexts.fulfilment.commands import FulfilmentCommand
from contexts.fulfilment.dispatcher import Dispatcher
from contexts.fulfilment.events import (
    Fact,
    FulfilmentAbandoned,
    FulfilmentEvent,
    FulfilmentRetried,
    StepTaken,
)
from contexts.fulfilment.hearing import Hearing, timers_ended
from contexts.fulfilment.issued import FAILED, OUTBOX, IssuedCommand, decode, saga_stream
from contexts.fulfilment.knowledge import Saga
from contexts.fulfilment.leftovers import Leftovers
from contexts.fulfilment.patience import Patience
from contexts.fulfilment.saga import evolve
from contexts.messages import OrderId, wire_name
from infra import tracing
from infra.runtime import Companion, Context, Heard, Reaction, RunningContext, Session
from infra.settings import Settings
from infra.timers import Timers

NAME = "fulfilment"


def facts_by_context() -> dict[str, Any]:
    """The facts the saga listens to, as one union per context they come from."""
    kinds: dict[str, list[Any]] = {}
    for kind in typing.get_args(Fact):
        kinds.setdefault(wire_name(kind).partition(".")[0], []).append(kind)
    del kinds[NAME]
    return {context: functools.reduce(operator.or_, union) for context, union in kinds.items()}


def stream_of(command: FulfilmentCommand) -> str:
    """The stream a command is about."""
    return saga_stream(command.order_id)


class Fulfilment:
    """The sagas of this process; where it leads, commands are sent and timers ring."""

    def __init__(self, settings: Settings, patience: Patience) -> None:
        timeout = timedelta(seconds=settings.payment_timeout)
        self._patience = patience
        self._hearing = Hearing(timeout, self._begin)
        self._running: RunningContext | None = None
        self._dispatcher: Dispatcher | None = None
        self._alarms: Alarms | None = None

    def companions(self, running: RunningContext) -> Sequence[Companion]:
        """What works beside the saga while this process leads."""
        dispatcher = Dispatcher(running, self._patience)
        timers = Timers(running.nats, NAME, stream_replicas=running.settings.stream_replicas)
        alarms = Alarms(running.store, timers, self._fire)
        self._running, self._dispatcher, self._alarms = running, dispatcher, alarms
        return (dispatcher, Leftovers(running.store, dispatcher), alarms)

    async def react(self, reaction: Reaction, heard: Sequence[Heard]) -> None:
        """Take the steps a batch of facts calls for."""
        assert self._dispatcher is not None
        await self._dispatcher.room()
        await self._hearing.facts(reaction, heard)

    async def _fire(self, order_id: OrderId, timer: str) -> None:
        assert self._running is not None
        with tracing.ringing(NAME, timer):
            await self._running.react(lambda reaction: self._hearing.timer(reaction, order_id, timer))

    def _begin(self, step: StepTaken, commands: Sequence[IssuedCommand]) -> None:
        """Do what a committed step asks for."""
        assert self._dispatcher is not None
        assert self._alarms is not None
        self._dispatcher.issue(commands)
        ended = timers_ended(step)
        if ended or step.timers_set:
            self._alarms.change(step.order_id, step.timers_set, ended)

    async def handle(self, session: Session, command: FulfilmentCommand) -> None:
        """Do what an operator asks for."""
        stream = stream_of(command)
        saga: Saga
        (saga,) = await session.load(stream)
        events = decider.decide(saga, command)
        session.record(stream, events)
        for event in events:
            match event:
                case FulfilmentRetried():
                    await self._retry(session, event)
                case FulfilmentAbandoned():
                    self._abandon(session, saga)

    async def _retry(self, session: Session, event: FulfilmentRetried) -> None:
        """Put the failed commands back into the outbox as they were."""
        failed = await session.notes(FAILED, event.command_ids)
        for command_id, note in failed.items():
            session.note(FAILED, command_id, None)
            session.note(OUTBOX, command_id, note)
        if self._dispatcher is not None:
            dispatcher = self._dispatcher
            session.after_commit(lambda: dispatcher.issue(map(decode, failed.values())))

    def _abandon(self, session: Session, saga: Saga) -> None:
        """Forget what failed and what was to ring; the dispatcher drops what still waits to be sent."""
        for failure in saga.failures:
            session.note(FAILED, failure.command_id, None)
        for timer in saga.timers:
            session.note(TIMER, timer_key(saga.order_id, timer), None)
        if self._alarms is not None:
            alarms = self._alarms
            session.after_commit(lambda: alarms.change(saga.order_id, (), saga.timers))


def fulfilment(settings: Settings, patience: Patience) -> Context:
    """The context, trying as long as `patience` says."""
    saga = Fulfilment(settings, patience)
    return Context(
        name=NAME,
        commands=FulfilmentCommand,
        events=FulfilmentEvent,
        initial=lambda _: Saga(),
        evolve=evolve,
        primary=stream_of,
        handle=saga.handle,
        hears=facts_by_context(),
        react=saga.react,
        companions=saga.companions,
    )


def context(settings: Settings) -> Context:
    """The context as the settings have it."""
    return fulfilment(settings, Patience())
