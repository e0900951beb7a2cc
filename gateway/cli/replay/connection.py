"""What a replay command works with: its settings, the contexts' logs and the read models."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import uvloop
from nats.aio.client import Client
from rich.console import Console

from infra.event_log.client import ContextUnavailable, LogClient
from infra.mongo import Mongo, MongoUnavailable, TransactionConflict
from infra.nats.connection import NatsUnavailable, connect
from infra.observability.logging.setup import configure_logging
from infra.settings import Settings, SettingsInvalid, load_settings
from read_models.projection.documents import ReadModels
from read_models.replay.errors import ReplayFailed

T = TypeVar("T")


@dataclass(frozen=True)
class Connection:
    """Connections of one command, closed when it ends."""

    settings: Settings
    nats: Client
    log: LogClient
    mongo: Mongo
    models: ReadModels


def connected(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do a command's work on the stack that ORDERFOLD_* settings name; raises ReplayFailed."""
    try:
        settings = load_settings()
        configure_logging("replay", level="warning", json=settings.log_json, out=sys.stderr)
        return uvloop.run(_connected(settings, work))
    except (NatsUnavailable, MongoUnavailable, ContextUnavailable, TransactionConflict) as error:
        raise ReplayFailed(f"{error}; is the stack running?") from None
    except SettingsInvalid as error:
        raise ReplayFailed(str(error)) from None


async def _connected(settings: Settings, work: Callable[[Connection], Awaitable[T]]) -> T:
    mongo = Mongo(settings)
    try:
        nats = await connect(settings, "operator-replay")
        try:
            return await work(Connection(settings, nats, LogClient(nats), mongo, ReadModels(mongo)))
        finally:
            await nats.close()
    finally:
        mongo.close()


def out() -> Console:
    """Where results go."""
    return Console()


def err() -> Console:
    """Where everything else goes."""
    return Console(file=sys.stderr)
