"""The worker of a replay: fills a version of a read model from the contexts' logs, until it is up to date.

It reads logs and writes its own collection, nothing else. Whatever it has written it has written together
with its checkpoints, so another worker can go on at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client

from infra.jetstream import JetStreamRefused, delete_consumers, stream_name
from infra.log_client import ContextUnavailable, LogClient
from infra.log_reader import LogDiffers, LogReader
from infra.mongo import Mongo, MongoUnavailable, Transaction, TransactionConflict, updating
from infra.nats import NatsUnavailable
from read_models.checkpoints import CheckpointMoved
from read_models.model import ReadModel
from read_models.projector import EventReader, Projector
from read_models.replay.failure import ReplayFailed
from read_models.replay.pace import PacedReader
from read_models.replay.records import (
    REPLAYS,
    UNDER_WAY,
    Replay,
    State,
    change_replay,
    find_replay,
    replay_of,
    worker_name,
    write_replay,
)
from read_models.replay.store_reader import StoreReader
from read_models.versions import transact, versions_of, write_versions

BATCH = 20_000
"""Events of one transaction: a document changed by many of them is written once."""
REPORT_SECONDS = 0.5
FRESH_SECONDS = 2.0
"""A version that had everything there was so long ago is up to date: projectors take it over from there."""
PATIENCE_SECONDS = 30.0
"""How long a worker tries without getting on, until it gives up."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
SPEED_SECONDS = 5.0
"""The time over which the speed is taken."""

RETRIED = (MongoUnavailable, NatsUnavailable, ContextUnavailable, TransactionConflict, CheckpointMoved)

logger = structlog.get_logger(__name__)


class LeaseLost(ReplayFailed):
    """Somebody else works on the replay, or it is no more."""


class Worker:
    """One process's work on one replay."""

    def __init__(
        self,
        nats: Client,
        mongo: Mongo,
        log: LogClient,
        model: ReadModel[Any],
        *,
        batch: int = BATCH,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._nats = nats
        self._mongo = mongo
        self._model = model
        self._log = log
        self._batch = batch
        self._patience = patience
        self._name = worker_name()
        self._heads: dict[str, list[int]] = {}
        self._heads_at = 0.0
        self._marks: deque[tuple[float, int]] = deque()
        self._problem: str | None = None
        self._lost = False

    async def run(self, stopping: asyncio.Event) -> Replay:
        """Work until the version is ready, the replay is cancelled, or `stopping` is set.

        A replay that cannot go on has failed; it can be resumed. Raises ReplayFailed.
        """
        self._replay = await self._take()
        self._pace = PacedReader(self._reader(), self._replay.limit)
        self._projector = Projector(
            self._mongo, self._pace, self._model, collection=self._replay.collection, pull=self._batch
        )
        reporting = [asyncio.create_task(self._follow_heads()), asyncio.create_task(self._report())]
        try:
            ready = await self._fill(stopping)
            await self._projector.close()
            return await self._leave(State.READY if ready else None)
        except LeaseLost:
            raise
        except Exception as error:
            if not isinstance(error, ReplayFailed):
                logger.exception("replay failed", version=self._replay.collection)
            self._problem = str(error) or repr(error)
            with contextlib.suppress(*RETRIED, LeaseLost):
                await self._leave(State.FAILED)
            raise ReplayFailed(
                f"the replay of {self._model.name} failed: {self._problem}; "
                f"`replay resume {self._model.name}` goes on where it was"
            ) from error
        finally:
            for task in reporting:
                task.cancel()
            await asyncio.gather(*reporting, return_exceptions=True)
            await self._projector.close()
            await self._forget_reader()

    def _reader(self) -> EventReader:
        if self._replay.source == "jetstream":
            return LogReader(self._nats, self._durable, self._model.contexts)
        return StoreReader(self._log, self._model.contexts)

    @property
    def _durable(self) -> str:
        return f"replay-{self._replay.collection.replace('@', '_v')}"

    async def _forget_reader(self) -> None:
        if self._replay.source != "jetstream":
            return
        for context in self._model.contexts:
            with contextlib.suppress(NatsUnavailable, JetStreamRefused):
                await delete_consumers(self._nats, stream_name(context), self._durable)

    async def _take(self) -> Replay:
        def change(replay: Replay) -> Replay:
            if replay.state not in UNDER_WAY:
                raise ReplayFailed(
                    f"the replay of {replay.model} is {replay.state}: there is nothing to go on with"
                )
            if replay.attended:
                raise ReplayFailed(f"{replay.worker} works on the replay of {replay.model}")
            state = State.RUNNING if replay.state is State.FAILED else replay.state
            return msgspec.structs.replace(
                replay, state=state, worker=self._name, heartbeat=time.time(), problem=None, speed=0.0
            )

        return await change_replay(self._mongo, self._model.name, change)

    async def _fill(self, stopping: asyncio.Event) -> bool:
        """Project until the version is up to date (True) or the work is to end, patient with what fails."""
        self._moved()
        pause = FIRST_PAUSE
        while True:
            moved_at = self._moved_at
            try:
                await self._projector.start()
                return await self._project(stopping)
            except RETRIED as error:
                self._problem = str(error)
                if time.monotonic() - self._moved_at > self._patience:
                    raise
            except LogDiffers as error:
                raise ReplayFailed(str(error)) from error
            pause = FIRST_PAUSE if self._moved_at > moved_at else min(pause * 2, LONGEST_PAUSE)
            await _wait(stopping, pause)

    async def _project(self, stopping: asyncio.Event) -> bool:
        while not (stopping.is_set() or self._replay.state is State.CANCELLED):
            if self._lost:
                raise LeaseLost(
                    f"another process works on the replay of {self._model.name}, or it is no more"
                )
            if self._replay.state is State.PAUSED:
                self._moved()
                await _wait(stopping, REPORT_SECONDS / 2)
                continue
            if await self._projector.step():
                self._moved()
            # Under traffic there is always something more.
            if self._up_to_date():
                return True
        return False

    def _moved(self) -> None:
        self._moved_at = time.monotonic()
        self._problem = None

    def _up_to_date(self) -> bool:
        if time.monotonic() - self._heads_at > FRESH_SECONDS:
            return False
        positions = self._projector.positions
        return all(
            positions.get((context, partition), 0) >= head
            for context, heads in self._heads.items()
            for partition, head in enumerate(heads)
        )

    async def _follow_heads(self) -> None:
        """Know where the logs end."""
        while True:
            asked_at = time.monotonic()
            try:
                pages = await asyncio.gather(
                    *(self._log.page(context, 0, limit=0) for context in self._model.contexts)
                )
            except (ContextUnavailable, NatsUnavailable) as error:
                logger.debug("heads are not known", reason=str(error))
            else:
                self._heads = {
                    context: page.partition_heads
                    for context, page in zip(self._model.contexts, pages, strict=True)
                }
                self._heads_at = asked_at
            await asyncio.sleep(REPORT_SECONDS)

    async def _report(self) -> None:
        """Tell how far it is, and hear what an operator wants."""
        while True:
            try:
                wanted = {"_id": self._model.name, "worker": self._name}
                told = await self._mongo.write(REPLAYS, [updating(wanted, self._progress())])
                found = await find_replay(self._mongo, self._model.name)
                if not told or found is None or found.worker != self._name:
                    self._lost = True
                    return
                self._replay = found
                self._pace.limit = found.limit
            except (MongoUnavailable, TransactionConflict) as error:
                logger.debug("replay not reported", reason=str(error))
            await asyncio.sleep(REPORT_SECONDS)

    def _progress(self) -> dict[str, Any]:
        """Positions stand for events: nearly every one is of an event."""
        now = time.monotonic()
        reached = dict.fromkeys(self._model.contexts, 0)
        for (context, _), position in self._projector.positions.items():
            reached[context] = max(reached[context], position)
        done = sum(reached.values())
        self._marks.append((now, done))
        while now - self._marks[0][0] > SPEED_SECONDS:
            self._marks.popleft()
        since, before = self._marks[0]
        return {
            "heartbeat": time.time(),
            "done": done,
            "total": max(done, sum(max(heads) for heads in self._heads.values())),
            "speed": (done - before) / (now - since) if now > since else 0.0,
            "problem": self._problem,
        }

    async def _leave(self, state: State | None) -> Replay:
        """Let go of the replay; a version that is ready is kept up to date by the projectors from now on."""

        async def work(transaction: Transaction) -> Replay:
            replay = await replay_of(transaction, self._model.name)
            if replay.worker != self._name:
                raise LeaseLost(f"another process works on the replay of {self._model.name}")
            progress = self._progress()
            left = msgspec.structs.replace(replay, worker=None, **progress)
            if state is not None and replay.state is not State.CANCELLED:
                left = msgspec.structs.replace(left, state=state, ended_at=time.time())
            if left.state is State.READY:
                versions = await versions_of(transaction, replay.model)
                kept = (*versions.versions, replay.collection)
                await write_versions(transaction, msgspec.structs.replace(versions, versions=kept))
            await write_replay(transaction, left)
            return left

        return await transact(self._mongo, work)


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
