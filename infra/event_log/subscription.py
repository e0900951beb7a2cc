"""A reader of contexts' logs: every event once, per partition in order and gap-free, from checkpoints on."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from nats.aio.client import Client

from infra.aio import cancel_all
from infra.event_log.context_subscription import ContextBatch, ContextSubscription, LogDiffers, StreamPosition
from infra.messages.event_headers import Delivered
from infra.messages.events import PARTITIONS, Checkpoint
from infra.nats.connection import NatsUnavailable, publish

__all__ = ["Batch", "LogDiffers", "LogReader"]

STRETCH = 50
"""Events taken from one context before looking which one's are the oldest."""
REFRESH_SECONDS = 10.0
"""How often a batch has the checkpoints of all partitions, so that idle ones do not hold a restart back."""


class Batch(msgspec.Struct, frozen=True):
    """Events to apply, with the checkpoint of every partition touched; both belong into one transaction."""

    events: list[Delivered]
    checkpoints: dict[tuple[str, int], Checkpoint]
    acknowledgements: dict[str, tuple[int, str]]


class LogReader:
    """One reader of some partitions of some contexts' logs.

    It needs neither JetStream's memory nor its order: what is lost there it takes from the contexts. Two
    readers of one name and the same partitions disturb each other; only one's checkpoints will hold.
    """

    def __init__(
        self,
        nats: Client,
        name: str,
        contexts: Sequence[str],
        partitions: Collection[int] = range(PARTITIONS),
        *,
        quiet_seconds: float = 1.0,
    ) -> None:
        """`quiet_seconds`: how long an event may be announced before it is read from its context's store."""
        self._nats = nats
        self._durable = name + _suffix(partitions)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self._durable):
            raise ValueError(f"{name!r} is no name for a reader")
        self._contexts = tuple(contexts)
        self._partitions = sorted(set(partitions))
        self._quiet_seconds = quiet_seconds
        self._subscriptions: dict[str, ContextSubscription] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._checkpoints: dict[tuple[str, int], Checkpoint] = {}
        self._refreshed: dict[str, float] = {}
        self._arrived = asyncio.Event()
        self._places: dict[str, StreamPosition] = {}

    @property
    def gaps(self) -> int:
        """Gaps met in the streams since the last start."""
        return sum(subscription.gaps for subscription in self._subscriptions.values())

    @property
    def from_store(self) -> int:
        """Events read from stores instead of streams since the last start."""
        return sum(subscription.from_store for subscription in self._subscriptions.values())

    async def start(self, checkpoints: Mapping[tuple[str, int], Checkpoint]) -> None:
        """Read from these checkpoints on; a missing one means from the beginning. May be called again."""
        await self.stop()
        self._arrived.clear()
        self._refreshed.clear()
        self._places.clear()
        self._checkpoints = {
            (context, partition): checkpoints.get((context, partition), Checkpoint())
            for context in self._contexts
            for partition in self._partitions
        }
        for context in self._contexts:
            subscription = ContextSubscription(
                self._nats,
                context,
                self._durable,
                {partition: self._checkpoints[context, partition] for partition in self._partitions},
                self._arrived.set,
                quiet_seconds=self._quiet_seconds,
            )
            self._subscriptions[context] = subscription
            self._tasks.append(
                asyncio.create_task(subscription.run(), name=f"subscription {self._durable} {context}")
            )

    async def next(self, limit: int = 500, timeout: float | None = None) -> Batch | None:
        """What has come, up to `limit` events, as soon as there is something; None after `timeout` seconds.

        Raises LogDiffers if a checkpoint does not belong to its context's log, and what else ended one.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    self._arrived.clear()
                    batch = self._collect(limit)
                    if batch is not None:
                        return batch
                    await self._arrived.wait()
        return None

    async def done(self, batch: Batch) -> None:
        """Acknowledge a batch, for the lag that the server shows; correctness does not depend on it."""
        for context, (epoch, reply) in batch.acknowledgements.items():
            subscription = self._subscriptions.get(context)
            if subscription is not None and subscription.epoch == epoch:
                with contextlib.suppress(NatsUnavailable):
                    await publish(self._nats, reply)

    async def stop(self) -> None:
        """Stop reading; what was not handed out is dropped."""
        await cancel_all(*self._tasks)
        self._tasks.clear()
        self._subscriptions.clear()

    def _collect(self, limit: int) -> Batch | None:
        batch = Batch([], {}, {})
        # First some of each, so that a context with a backlog does not hold up the others; then what is
        # oldest, so that events of several contexts about one thing come together.
        share = max(1, limit // (2 * len(self._contexts)))
        for context in self._contexts:
            self._take(context, min(share, limit - len(batch.events)), batch)
        while len(batch.events) < limit and (waiting := self._waiting()):
            self._take(min(waiting)[1], min(STRETCH, limit - len(batch.events)), batch)
        for context in {event.context for event in batch.events}:
            self._refresh(context, batch.checkpoints)
        return batch if batch.events else None

    def _waiting(self) -> list[tuple[datetime, str]]:
        """The contexts of which events wait, with the time of the first."""
        oldest = {context: subscription.oldest for context, subscription in self._subscriptions.items()}
        return [(time, context) for context, time in oldest.items() if time is not None]

    def _take(self, context: str, limit: int, batch: Batch) -> None:
        while limit > 0 and (part := self._subscriptions[context].take(limit)):
            limit -= len(part.events)
            batch.events.extend(part.events)
            self._move(context, part, batch.checkpoints)
            if part.acknowledgement is not None:
                batch.acknowledgements[context] = part.acknowledgement

    def _move(self, context: str, part: ContextBatch, moved: dict[tuple[str, int], Checkpoint]) -> None:
        positions = {event.partition: event.position for event in part.events}
        place = part.place or self._places.get(context)
        if place is not None:
            self._places[context] = place
        for partition, position in positions.items():
            self._checkpoints[context, partition] = _checkpoint(
                position, place, self._checkpoints[context, partition]
            )
            moved[context, partition] = self._checkpoints[context, partition]

    def _refresh(self, context: str, moved: dict[tuple[str, int], Checkpoint]) -> None:
        """Now and then, let the idle partitions' checkpoints tell how far their context's stream was seen."""
        now = asyncio.get_running_loop().time()
        place = self._places.get(context)
        if place is None or now - self._refreshed.get(context, -REFRESH_SECONDS) < REFRESH_SECONDS:
            return
        self._refreshed[context] = now
        for partition in self._partitions:
            old = self._checkpoints[context, partition]
            self._checkpoints[context, partition] = _checkpoint(old.position, place, old)
            moved[context, partition] = self._checkpoints[context, partition]


def _checkpoint(position: int, place: StreamPosition | None, old: Checkpoint) -> Checkpoint:
    if place is None:
        return msgspec.structs.replace(old, position=position)
    return Checkpoint(
        position=position,
        sequence=place.sequence,
        sequence_position=place.position,
        created=place.created,
    )


def _suffix(partitions: Collection[int]) -> str:
    """What tells the durables of readers of different partitions apart: `-0_to_7`, `-1_3_5`."""
    wanted = sorted(set(partitions))
    if not wanted or wanted[0] < 0 or wanted[-1] >= PARTITIONS:
        raise ValueError(f"partitions are numbers from 0 to {PARTITIONS - 1}, not {wanted}")
    if len(wanted) == PARTITIONS:
        return ""
    if wanted == list(range(wanted[0], wanted[-1] + 1)):
        return f"-{wanted[0]}_to_{wanted[-1]}"
    return "-" + "_".join(str(partition) for partition in wanted)
