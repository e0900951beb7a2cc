"""Runs bounded contexts in one process: store, commands, log, and what only a context's leader does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from nats.aio.client import Client

from infra.aio import run_until
from infra.event_log.published import check_published
from infra.event_log.relay import Relay
from infra.event_log.server import LogService
from infra.event_store.store import Conflict, EventStore, StoreReplaced, StoreUnavailable, StoreUnreachable
from infra.messages.codec import EventCodec
from infra.messages.commands import RefusalKind
from infra.nats.connection import NatsUnavailable, connect
from infra.nats.health import Connections
from infra.nats.jetstream import JetStreamRefused
from infra.observability.health.http import served
from infra.observability.health.monitor import Monitor
from infra.observability.health.nats_server import NatsServerCollector
from infra.retry import until_there
from infra.runtime.command_client import CommandClient
from infra.runtime.command_server import CommandService
from infra.runtime.context import BackgroundWorker, Context, EventSession, RunningContext
from infra.runtime.dead_letters.server import DeadLetterService
from infra.runtime.health import ContextCollector
from infra.runtime.inbox import Inbox
from infra.runtime.stream_cache import Streams
from infra.settings import Settings

STORE_CHECK_SECONDS = 1.0
"""How often to look whether the store in use is still the one that was opened."""

log = structlog.get_logger(__name__)


class LeadLost(Exception):
    """This process led a context and no longer does; started again, it stands by."""


class ContextHost:
    """One context at work, from its store to its relay."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        refusals: Mapping[type[Exception], RefusalKind],
        commands: Client,
        jetstream: Client,
        monitor: Monitor | None = None,
    ) -> None:
        """`commands` and `jetstream` are two connections, so that a full log does not delay a command."""
        self._context = context
        self._settings = settings
        self._refusals = refusals
        self._nats = commands
        self._jetstream = jetstream
        self._look = ContextCollector(context.name, jetstream)
        if monitor is not None:
            monitor.require(f"context:{context.name}", self._look.check)
            monitor.look(self._look.look)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set; raises what made going on impossible."""
        context = self._context
        # Whatever this task begins says so, too: a process may run several contexts.
        structlog.contextvars.bind_contextvars(service=context.name)
        store = await _opened(context.name, self._settings, stopping)
        if store is None:
            return
        try:
            codec = EventCodec(context.events, context.upcasters)
            streams = Streams(store, codec, context.initial, context.evolve)
            inbox = Inbox(context, streams, self._jetstream)
            service = CommandService(
                context, self._nats, streams, inbox, self._refusals, logged=self._settings.access_log
            )
            published = LogService(self._jetstream, store)
            if not await self._may_serve(store, stopping):
                return
            await published.start()
            await service.start()
            self._look.serves(store)
            log.info("context serves", context=context.name)
            try:
                await run_until(stopping, self._work(store, streams, inbox))
            finally:
                await service.stop()
                await published.stop()
                with contextlib.suppress(StoreUnavailable):
                    await store.note_head()
        finally:
            await store.close()
        log.info("context stopped", context=context.name)

    async def _may_serve(self, store: EventStore, stopping: asyncio.Event) -> bool:
        """Wait until it is known that the store has what it has published; False if stopped before.

        A store restored from an older backup must not accept a command: its positions, given again, would be
        taken for what was published before. Raises StoreRestored, StartRefused and StoreUnavailable.
        """

        async def check() -> bool:
            await check_published(self._jetstream, store, as_long=not self._context.rebuilt)
            await self._context.check_start(store)
            return True

        failing = (NatsUnavailable, JetStreamRefused, StoreUnreachable)
        return bool(
            await until_there(check, *failing, report=_context_waits(store.context), stopping=stopping)
        )

    async def _work(self, store: EventStore, streams: Streams, inbox: Inbox) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_keep_store(store))
            group.create_task(self._lead(store, streams, inbox))

    async def _lead(self, store: EventStore, streams: Streams, inbox: Inbox) -> None:
        """What one process at a time does for a context."""
        await store.lead()
        relay = Relay(self._jetstream, store, stream_replicas=self._settings.stream_replicas)
        self._look.leads(relay, inbox.parked)
        running = RunningContext(
            store=store,
            streams=streams,
            nats=self._jetstream,
            commands=CommandClient(self._nats),
            settings=self._settings,
            react=reacting(streams),
            has_received=inbox.has_received,
            caught_up=inbox.caught_up,
        )
        letters = DeadLetterService(self._jetstream, store, inbox)
        background_workers: Sequence[BackgroundWorker] = [*self._context.background_workers(running), letters]
        started: list[BackgroundWorker] = []
        try:
            for worker in background_workers:
                await worker.start()
                started.append(worker)
            async with asyncio.TaskGroup() as group:
                group.create_task(relay.run())
                group.create_task(inbox.run())
                group.create_task(_keep_lead(store))
        finally:
            for worker in reversed(started):
                await worker.stop()


async def _opened(name: str, settings: Settings, stopping: asyncio.Event) -> EventStore | None:
    """A context's store, as soon as its server can be reached; None if stopped before."""
    return await until_there(
        lambda: EventStore.open(name, settings.store_url(name)),
        StoreUnreachable,
        report=_context_waits(name),
        stopping=stopping,
    )


def _context_waits(name: str) -> Callable[[BaseException], None]:
    return lambda error: log.warning("context waits", context=name, reason=str(error))


async def _keep_lead(store: EventStore) -> None:
    """Raises LeadLost once another process may lead; what only a leader does ends with it."""
    await store.lost_lead.wait()
    raise LeadLost(f"{store.context}: the database connection that made this process the leader was lost")


async def _keep_store(store: EventStore) -> None:
    """Raises StoreReplaced once another store was put in the place of the open one."""
    while True:
        await asyncio.sleep(STORE_CHECK_SECONDS)
        try:
            await store.check()
            await store.note_head()
        except StoreReplaced:
            raise
        except StoreUnavailable as error:
            log.debug("event store not checked", context=store.context, reason=str(error))


def reacting(streams: Streams) -> Callable[[Callable[[EventSession], Awaitable[None]]], Awaitable[None]]:
    """Runs a function on an EventSession and commits it, again from fresh state after a conflict."""

    async def react(change: Callable[[EventSession], Awaitable[None]]) -> None:
        fresh = False
        while True:
            async with EventSession(streams, fresh=fresh) as session:
                await change(session)
                if not session.changes:
                    return
                try:
                    await session.commit()
                except Conflict:
                    fresh = True
                    continue
                return

    return react


async def run_contexts(
    contexts: Sequence[Context],
    settings: Settings,
    refusals: Mapping[type[Exception], RefusalKind],
    name: str,
) -> None:
    """Run contexts until SIGTERM or SIGINT; raises what made one of them stop. NATS is waited for."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    monitor = Monitor()
    async with served(monitor, settings):
        await _run(contexts, settings, refusals, name, stopping, monitor)


async def _run(
    contexts: Sequence[Context],
    settings: Settings,
    refusals: Mapping[type[Exception], RefusalKind],
    name: str,
    stopping: asyncio.Event,
    monitor: Monitor,
) -> None:
    closed = asyncio.Event()
    links = Connections(*(f"{name}-{purpose}" for purpose in ("commands", "jetstream")))
    monitor.require("nats", links.check)
    monitor.look(links.look)
    monitor.look(NatsServerCollector(settings.nats_monitor_url).look)
    connections: list[Client] = []
    try:
        for link in links.names:
            connection = await _connected(settings, link, stopping, closed)
            if connection is not None:
                links.connected(link, connection)
                connections.append(connection)
        async with asyncio.TaskGroup() as group:
            if not stopping.is_set():
                commands, jetstream = connections
                # What was loaded by now stays: the collector need not look through it again and again.
                gc.collect()
                gc.freeze()
                group.create_task(_watch(closed, stopping))
                for context in contexts:
                    host = ContextHost(context, settings, refusals, commands, jetstream, monitor)
                    group.create_task(host.run(stopping))
    finally:
        for connection in connections:
            await connection.close()


async def _connected(
    settings: Settings, name: str, stopping: asyncio.Event, closed: asyncio.Event
) -> Client | None:
    """A connection to NATS, as soon as it is there; None if stopped before."""
    return await until_there(
        lambda: connect(settings, name, on_closed=closed.set),
        NatsUnavailable,
        report=lambda error: log.warning("contexts wait", reason=str(error)),
        stopping=stopping,
    )


async def _watch(closed: asyncio.Event, stopping: asyncio.Event) -> None:
    """Raises NatsUnavailable when a connection ends for good: started again, everything has new ones."""
    await run_until(stopping, closed.wait())
    if closed.is_set() and not stopping.is_set():
        raise NatsUnavailable("the connection to NATS was closed for good")
