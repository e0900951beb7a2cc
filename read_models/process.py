"""Runs projectors in one process, from the wait for its servers to the clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Collection, Sequence
from typing import Any

import structlog
from nats.aio.client import Client

from infra.log_reader import LogReader
from infra.mongo import Mongo, MongoUnavailable
from infra.nats import NatsUnavailable, connect
from infra.settings import Settings
from read_models.model import ReadModel
from read_models.projector import Projector
from read_models.reading import ReadModels

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0

log = structlog.get_logger(__name__)


async def run_projectors(
    models: Sequence[ReadModel[Any]], partitions: Collection[int], mongo: Mongo, settings: Settings
) -> None:
    """Project until SIGTERM or SIGINT; servers that are not there are waited for."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await project(models, partitions, mongo, settings, stopping)
    log.info("read models stopped")


async def project(
    models: Sequence[ReadModel[Any]],
    partitions: Collection[int],
    mongo: Mongo,
    settings: Settings,
    stopping: asyncio.Event,
) -> None:
    """Project until `stopping` is set, over as many connections to NATS as that takes."""
    while not stopping.is_set():
        closed = asyncio.Event()
        ready = await _ready(models, mongo, settings, stopping, closed)
        if ready is None:
            return
        nats, collections = ready
        ending = asyncio.Event()
        watching = asyncio.create_task(_either(stopping, closed, ending))
        try:
            async with asyncio.TaskGroup() as group:
                for model, collection in zip(models, collections, strict=True):
                    reader = LogReader(nats, f"rm-{collection}", model.contexts, partitions)
                    projector = Projector(mongo, reader, model, partitions, collection=collection)
                    group.create_task(projector.run(ending), name=f"projector {collection}")
                log.info(
                    "read models run", models=[model.name for model in models], partitions=list(partitions)
                )
        finally:
            watching.cancel()
            await nats.close()


async def _either(stopping: asyncio.Event, closed: asyncio.Event, ending: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (stopping, closed)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if closed.is_set() and not stopping.is_set():
        log.warning("the connection to NATS is lost for good; a new one is made")
    ending.set()


async def _ready(
    models: Sequence[ReadModel[Any]],
    mongo: Mongo,
    settings: Settings,
    stopping: asyncio.Event,
    closed: asyncio.Event,
) -> tuple[Client, list[str]] | None:
    """A connection to NATS and the models' collections, once both servers are there; None if stopped."""
    pause = FIRST_PAUSE
    while not stopping.is_set():
        try:
            await mongo.check()
            # Of a model rebuilt beside the live one, this process goes on with the one that is live.
            live = ReadModels(mongo)
            collections = [await live.live(model.name) for model in models]
            return await connect(settings, "read_models", on_closed=closed.set), collections
        except (MongoUnavailable, NatsUnavailable) as error:
            log.warning("read models wait", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    return None
