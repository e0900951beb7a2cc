"""Runs the saga: hears the other contexts, does what the steps ask for, obeys operators."""

from __future__ import annotations

import functools
import typing
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import or_
from typing import Any, assert_never

from contexts.fulfilment import operator
from contexts.fulfilment.alarms import TIMER, Alarms, timer_key
from contexts.fulfilment.commands import FulfilmentCommand
from contexts.fulfilment.dispatcher import Dispatcher
from contexts.fulfilment.events import (
    Fact,
    FulfilmentAbandoned,
    FulfilmentEvent,
    FulfilmentResumed,
    FulfilmentRetried,
    FulfilmentSettled,
    Step,
    StepTaken,
)
from contexts.fulfilment.hearing import Hearing, dead_letter, keep_commands, keep_timers, timers_ended
from contexts.fulfilment.issued import FAILED, OUTBOX, Cause, IssuedCommand, decode, issue, saga_stream
from contexts.fulfilment.leftovers import Leftovers
from contexts.fulfilment.patience import Patience
from contexts.fulfilment.saga import evolve
from contexts.fulfilment.state import Saga
from contexts.messages import OrderId, wire_name
from contexts.wire_names import EVENTS
from infra.observability import tracing
from infra.runtime.context import Companion, Context, Heard, Reaction, RunningContext, Session
from infra.runtime.timers import Timers
from infra.settings import Settings

NAME = "fulfilment"


def facts_by_context() -> dict[str, Any]:
    """The facts the saga listens to, as one union per context they come from."""
    kinds: dict[str, list[Any]] = {}
    for kind in typing.get_args(Fact):
        kinds.setdefault(wire_name(kind).partition(".")[0], []).append(kind)
    del kinds[NAME]
    return {context: functools.reduce(or_, union) for context, union in kinds.items()}


def stream_of(command: FulfilmentCommand) -> str:
    """The stream a command is about."""
    return saga_stream(command.order_id)


class Fulfilment:
    """The sagas of this process; where it leads, commands are sent and timers ring."""

    def __init__(self, settings: Settings, patience: Patience) -> None:
        self._payment_timeout = timedelta(seconds=settings.payment_timeout)
        self._patience = patience
        self._hearing = Hearing(self._payment_timeout, self._begin)
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
        assert self._dispatcher is not None
        # An answer to the payment may be among what was not heard yet.
        await self._dispatcher.caught_up()
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
        events = operator.decide(saga, command, datetime.now(UTC), self._payment_timeout)
        session.record(stream, events)
        for event in events:
            match event:
                case FulfilmentRetried():
                    await self._retry(session, event)
                case FulfilmentAbandoned():
                    self._forget(session, saga)
                    self._send(session, event.commands, saga.order_id)
                case FulfilmentSettled():
                    self._forget(session, saga)
                    self._send(session, event.commands, saga.order_id)
                case FulfilmentResumed():
                    self._send(session, event.commands, saga.order_id)
                    self._set_timers(session, event)
                case _:
                    assert_never(event)

    def _send(self, session: Session, commands: Sequence[Step], order_id: OrderId) -> None:
        """Put what an operator's command asks for into the outbox."""
        stream, envelope = saga_stream(order_id), session.envelope
        version = session.version(stream)
        cause = Cause(f"{stream}@{version}", envelope.correlation_id, envelope.traceparent)
        issued = issue(commands, order_id, version, cause)
        keep_commands(session, issued)
        if self._dispatcher is not None:
            dispatcher = self._dispatcher
            session.after_commit(lambda: dispatcher.issue(issued))

    def _set_timers(self, session: Session, event: FulfilmentResumed) -> None:
        keep_timers(session, event)
        if self._alarms is not None and event.timers_set:
            alarms = self._alarms
            session.after_commit(lambda: alarms.change(event.order_id, event.timers_set, ()))

    async def _retry(self, session: Session, event: FulfilmentRetried) -> None:
        """Put the failed commands back into the outbox as they were."""
        failed = await session.notes(FAILED, event.command_ids)
        for command_id, note in failed.items():
            session.note(FAILED, command_id, None)
            session.note(OUTBOX, command_id, note)
        if self._dispatcher is not None:
            dispatcher = self._dispatcher
            session.after_commit(lambda: dispatcher.issue(map(decode, failed.values())))

    def _forget(self, session: Session, saga: Saga) -> None:
        """Forget what failed and what was to ring; the dispatcher drops what still waits to be sent."""
        for failure in saga.failures:
            session.note(FAILED, failure.failure_id, None)
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
        known_events=EVENTS,
        on_dead_letter=dead_letter,
        companions=saga.companions,
        rebuilt=True,
    )


def context(settings: Settings) -> Context:
    """The context as the settings have it."""
    return fulfilment(settings, Patience())
