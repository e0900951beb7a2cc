"""Runs projectors in one process, from the wait for its servers to the clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import structlog
from nats.aio.client import Client

from infra.aio import cancel_all
from infra.event_log.server import LogClient
from infra.mongo import Mongo, MongoUnavailable
from infra.nats.connection import NatsUnavailable, connect
from infra.nats.health import Connections
from infra.observability.health.http import served
from infra.observability.health.monitor import Monitor
from infra.retry import until_there
from infra.settings import Settings
from read_models.monitoring.metrics import ReadModelFigures
from read_models.projection.documents import ReadModels
from read_models.projection.model import ReadModel
from read_models.workers.partition_assignment import Assignment, shared
from read_models.workers.supervisor import Projectors

CONNECTION = "read_models"

log = structlog.get_logger(__name__)


async def run_projectors(
    models: Sequence[ReadModel[Any]], partitions: Collection[int] | None, mongo: Mongo, settings: Settings
) -> None:
    """Project until SIGTERM or SIGINT; servers that are not there are waited for.

    `partitions`: None is this process's share among all that run.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    monitor = Monitor()
    monitor.require("mongodb", mongo.check)
    async with served(monitor, settings), _share(partitions, mongo) as share:
        await project(models, share, mongo, settings, stopping, monitor)
    log.info("read models stopped")


@contextlib.asynccontextmanager
async def _share(partitions: Collection[int] | None, mongo: Mongo) -> AsyncIterator[Assignment]:
    if partitions is None:
        async with shared(mongo) as share:
            yield share
    else:
        yield Assignment(partitions)


async def project(
    models: Sequence[ReadModel[Any]],
    share: Assignment,
    mongo: Mongo,
    settings: Settings,
    stopping: asyncio.Event,
    monitor: Monitor | None = None,
) -> None:
    """Project until `stopping` is set, over as many connections to NATS as that takes."""
    links = Connections(CONNECTION)
    if monitor is not None:
        monitor.require("nats", links.check)
        monitor.look(links.look)
        ReadModelFigures(ReadModels(mongo), lambda: LogClient(links.client(CONNECTION))).join(monitor)
    while not stopping.is_set():
        closed = asyncio.Event()
        nats = await _connected(mongo, settings, stopping, closed)
        if nats is None:
            return
        links.connected(CONNECTION, nats)
        try:
            while not (stopping.is_set() or closed.is_set()):
                await _project(models, share, mongo, nats, (stopping, closed))
        finally:
            await nats.close()
        if closed.is_set() and not stopping.is_set():
            log.warning("nats connection closed; reconnecting")


async def _project(
    models: Sequence[ReadModel[Any]],
    share: Assignment,
    mongo: Mongo,
    nats: Client,
    ends: Sequence[asyncio.Event],
) -> None:
    """Project the share there is now, until it becomes another or one of `ends` is set."""
    share.changed.clear()
    ending = asyncio.Event()
    watching = asyncio.create_task(_any([*ends, share.changed], ending))
    try:
        if share.partitions:
            await Projectors(nats, mongo, models, share.partitions).run(ending)
        else:
            await ending.wait()
    finally:
        await cancel_all(watching)


async def _any(events: Sequence[asyncio.Event], then: asyncio.Event) -> None:
    """Set one event when any of some others is."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_all(*waits)
    then.set()


async def _connected(
    mongo: Mongo, settings: Settings, stopping: asyncio.Event, closed: asyncio.Event
) -> Client | None:
    """A connection to NATS, once both servers are there; None if stopped."""

    async def both() -> Client:
        await mongo.check()
        return await connect(settings, CONNECTION, on_closed=closed.set)

    return await until_there(
        both,
        MongoUnavailable,
        NatsUnavailable,
        report=lambda error: log.warning("read models wait", reason=str(error)),
        stopping=stopping,
    )
