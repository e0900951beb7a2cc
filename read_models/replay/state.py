"""The replays there are, one for each read model: written by workers, changed by operators' commands."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from infra.mongo import Access, Mongo, Transaction, encode_document, replacing
from read_models.projection.versions import transact
from read_models.replay.errors import ReplayFailed

REPLAYS = "replays"
LEASE_SECONDS = 6.0
"""A worker that was not heard of for so long is gone."""


class State(StrEnum):
    """Where a replay stands; an ended one is `switched`, `cancelled` or `dropped`."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    READY = "ready"
    FAILED = "failed"
    SWITCHED = "switched"
    CANCELLED = "cancelled"
    DROPPED = "dropped"


UNDER_WAY = (State.WAITING, State.RUNNING, State.PAUSED, State.FAILED)
"""A replay in one of these states can be resumed and cancelled."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A read model's last replay.

    `limit`, `speed`: events a second. `done` of `total` events; their times
    are seconds since 1970. `worker` is who works on it, by its own last word at `heartbeat`; while it is
    `yielding` it waits until the live versions, `live_lag` seconds late, are no more than `yield_above` late.
    """

    model: str
    collection: str
    state: State
    limit: float | None
    switch: bool
    started_at: float
    ended_at: float | None = None
    worker: str | None = None
    heartbeat: float = 0.0
    done: int = 0
    total: int = 0
    speed: float = 0.0
    problem: str | None = None
    yield_above: float | None = None
    yielding: bool = False
    live_lag: float = 0.0

    @property
    def attended(self) -> bool:
        """Whether a worker is at it; of one on this machine it is known at once when it has died."""
        if self.worker is None or time.time() - self.heartbeat >= LEASE_SECONDS:
            return False
        host, pid, _ = self.worker.split("/")
        return host != socket.gethostname() or _lives(int(pid))


async def find_replay(access: Access, model: str) -> Replay | None:
    """A model's last replay; raises MongoUnavailable."""
    found = await access.find(REPLAYS, {"_id": model})
    return _read(found[0]) if found else None


async def find_replays(access: Access) -> dict[str, Replay]:
    """Every model's last replay; raises MongoUnavailable."""
    return {item["_id"]: _read(item) for item in await access.find(REPLAYS, {})}


async def replay_of(access: Access, model: str) -> Replay:
    """The same, where there must have been one; raises ReplayFailed."""
    replay = await find_replay(access, model)
    if replay is None:
        raise ReplayFailed(f"{model} was never replayed; `replay start {model}` does")
    return replay


async def write_replay(transaction: Transaction, replay: Replay) -> None:
    """Put a replay in the place of what was known of it."""
    fields = msgspec.to_builtins(replay)
    del fields["model"]
    await transaction.write(REPLAYS, [replacing(replay.model, encode_document(replay.model, fields))])


async def change_replay(mongo: Mongo, model: str, change: Callable[[Replay], Replay]) -> Replay:
    """Change a replay by what it is now, as one; raises what `change` raises."""

    async def work(transaction: Transaction) -> Replay:
        changed = change(await replay_of(transaction, model))
        await write_replay(transaction, changed)
        return changed

    return await transact(mongo, work)


def worker_name() -> str:
    """A name for a worker in this process that no other has."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(item: Mapping[str, Any]) -> Replay:
    return msgspec.convert({**item, "model": item["_id"]}, Replay)
