"""The worker of a replay: fills a version of a read model from the contexts' logs, until it is up to date.

It reads logs and writes its own collection, nothing else. Whatever it has written it has written together
with its checkpoints, so another worker can go on at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import msgspec
import structlog

from infra.aio import cancel_all, wait_for_event
from infra.event_log.client import ContextUnavailable, LogClient
from infra.messages.events import CheckpointMoved
from infra.mongo import Mongo, MongoUnavailable, Transaction, TransactionConflict, updating
from infra.nats.connection import NatsUnavailable
from infra.retry import Backoff
from read_models.projection import checkpoints
from read_models.projection.checkpoints import Place
from read_models.projection.model import ReadModel
from read_models.projection.versions import transact, versions_of, write_versions
from read_models.replay.errors import ReplayFailed
from read_models.replay.observed_lag import ObservedLag
from read_models.replay.progress import Progress
from read_models.replay.rebuilder import Rebuilder
from read_models.replay.state import (
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
from read_models.replay.throttle import BATCH, AdaptiveBatchSize, Backpressure, ConcurrencyLimit, PacedReader

REPORT_SECONDS = 0.5
RETRY_SECONDS = 30.0
"""How long a worker tries without getting on, until it gives up."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
POLL_SECONDS = 0.1
"""How often to look whether it is the replay's turn, or whether it need give way no more."""

RETRIED = (MongoUnavailable, NatsUnavailable, ContextUnavailable, TransactionConflict, CheckpointMoved)

logger = structlog.get_logger(__name__)


class LeaseLost(ReplayFailed):
    """Somebody else works on the replay, or it is no more."""


class Worker:
    """One process's work on one replay."""

    def __init__(
        self,
        mongo: Mongo,
        log: LogClient,
        model: ReadModel[Any],
        *,
        batch: int = BATCH,
        retry_seconds: float = RETRY_SECONDS,
        turns: ConcurrencyLimit | None = None,
        live: ObservedLag | None = None,
    ) -> None:
        """It works in its turn, and gives way to the live versions if it is told how far behind they are."""
        self._mongo = mongo
        self._model = model
        self._log = log
        self._batch = batch
        self._retry_seconds = retry_seconds
        self._turns = turns or ConcurrencyLimit()
        self._live = live
        self._backpressure = Backpressure(self._live_lag)
        self._name = worker_name()
        self._known: dict[Place, int] = {}
        self._problem: str | None = None
        self._lost = False

    async def run(self, stopping: asyncio.Event) -> Replay:
        """Work until the version is ready, the replay is cancelled, or `stopping` is set.

        A replay that cannot go on has failed; it can be resumed. Raises ReplayFailed.
        """
        self._replay = await self._take()
        collection = self._replay.collection
        self._known = await checkpoints.positions(self._mongo, collection, self._model.contexts)
        self._progress = Progress(self._log, self._model.contexts)
        self._pace = PacedReader(StoreReader(self._log, self._model.contexts), self._replay.limit)
        batch_size = AdaptiveBatchSize(lambda: self._live is not None and self._live.busy, self._batch)
        self._rebuilder = Rebuilder(self._mongo, self._pace, self._model, collection, batch_size)
        reporting = [asyncio.create_task(self._progress.follow()), asyncio.create_task(self._report())]
        try:
            ready = await self._work(stopping)
            await self._rebuilder.close()
            return await self._leave(State.READY if ready else None)
        except LeaseLost:
            raise
        except Exception as error:
            if not isinstance(error, (ReplayFailed, *RETRIED)):
                logger.exception("replay failed", version=self._replay.collection)
            self._problem = str(error) or repr(error)
            with contextlib.suppress(*RETRIED, LeaseLost):
                await self._leave(State.FAILED)
            then = f"`replay resume {self._model.name}` goes on where it was"
            if isinstance(error, RETRIED):
                then = f"once that is mended, {then}"
            raise ReplayFailed(f"the replay of {self._model.name} failed: {self._problem}; {then}") from error
        finally:
            self._turns.leave(self._model.name)
            await cancel_all(*reporting)
            await self._rebuilder.close()

    async def _take(self) -> Replay:
        def change(replay: Replay) -> Replay:
            if replay.state not in UNDER_WAY:
                raise ReplayFailed(f"the replay of {replay.model} is {replay.state}: nothing to resume")
            if replay.attended:
                raise ReplayFailed(f"{replay.worker} works on the replay of {replay.model}")
            state = State.PAUSED if replay.state is State.PAUSED else State.WAITING
            return msgspec.structs.replace(
                replay, state=state, worker=self._name, heartbeat=time.time(), problem=None, speed=0.0
            )

        return await change_replay(self._mongo, self._model.name, change)

    async def _work(self, stopping: asyncio.Event) -> bool:
        """Work in turns until the version is up to date (True), or there is nothing more to do."""
        while await self._turn(stopping):
            self._progress.working.set()
            if await self._fill(stopping):
                return True
            self._progress.working.clear()
            self._turns.leave(self._model.name)
            await self._rebuilder.rest()
        return False

    async def _turn(self, stopping: asyncio.Event) -> bool:
        """Wait for a turn, and as long as the replay is paused; False if it is to end."""
        while not self._ends(stopping):
            if self._replay.state is State.PAUSED:
                self._turns.leave(self._model.name)
            elif self._turns.ask(self._model.name):
                return True
            await wait_for_event(stopping, POLL_SECONDS)
        return False

    def _ends(self, stopping: asyncio.Event) -> bool:
        """Whether to stop; raises LeaseLost."""
        if self._lost:
            raise LeaseLost(f"another process works on the replay of {self._model.name}, or it is no more")
        return stopping.is_set() or self._replay.state is State.CANCELLED

    async def _fill(self, stopping: asyncio.Event) -> bool:
        """Project until the version is up to date (True) or the work is to end, patient with what fails."""
        self._moved()
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            moved_at = self._moved_at
            try:
                self._replay = await change_replay(self._mongo, self._model.name, _running)
                await self._rebuilder.start()
                return await self._project(stopping)
            except RETRIED as error:
                self._problem = str(error)
                if time.monotonic() - self._moved_at > self._retry_seconds:
                    raise
            if self._moved_at > moved_at:
                backoff.reset()
            await backoff.pause(stopping)

    async def _project(self, stopping: asyncio.Event) -> bool:
        while not self._ends(stopping) and self._replay.state is State.RUNNING:
            if self._backpressure.now(self._replay.yield_above):
                self._moved()
                await wait_for_event(stopping, POLL_SECONDS)
                continue
            if await self._rebuilder.step():
                self._moved()
            # Under traffic there is always something more.
            if self._progress.up_to_date(self._rebuilder.positions):
                return True
        return False

    def _moved(self) -> None:
        self._moved_at = time.monotonic()
        self._problem = None

    async def _report(self) -> None:
        """Tell how far it is, and hear what an operator wants."""
        while True:
            try:
                wanted = {"_id": self._model.name, "worker": self._name}
                told = await self._mongo.write(REPLAYS, [updating(wanted, self._told())])
                found = await find_replay(self._mongo, self._model.name)
                if not told or found is None or found.worker != self._name:
                    self._lost = True
                    return
                self._replay = found
                self._pace.limit = found.limit
            except (MongoUnavailable, TransactionConflict) as error:
                logger.debug("replay progress not saved", reason=str(error))
            await asyncio.sleep(REPORT_SECONDS)

    def _told(self) -> dict[str, Any]:
        return {
            **self._progress.told(self._rebuilder.positions or self._known),
            "heartbeat": time.time(),
            "problem": self._problem,
            "yielding": self._backpressure.yielding,
            "live_lag": self._live_lag(),
        }

    def _live_lag(self) -> float:
        return 0.0 if self._live is None else self._live.seconds

    async def _leave(self, state: State | None) -> Replay:
        """Let go of the replay; a version that is ready is kept up to date by the projectors from now on."""

        async def work(transaction: Transaction) -> Replay:
            replay = await replay_of(transaction, self._model.name)
            if replay.worker != self._name:
                raise LeaseLost(f"another process works on the replay of {self._model.name}")
            left = msgspec.structs.replace(replay, worker=None, **self._told() | {"yielding": False})
            if state is not None and replay.state is not State.CANCELLED:
                left = msgspec.structs.replace(left, state=state, ended_at=time.time())
            if left.state is State.READY:
                versions = await versions_of(transaction, replay.model)
                kept = (*versions.versions, replay.collection)
                await write_versions(transaction, msgspec.structs.replace(versions, versions=kept))
            await write_replay(transaction, left)
            return left

        return await transact(self._mongo, work)


def _running(replay: Replay) -> Replay:
    if replay.state is not State.WAITING:
        return replay
    return msgspec.structs.replace(replay, state=State.RUNNING)
