"""A context's inbox: facts of other contexts, each with its effect and the checkpoint in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog
from nats.aio.client import Client

from infra import tracing
from infra.commands import Token
from infra.error_text import described
from infra.event_codec import EventCodec, EventUnreadable
from infra.event_store import CheckpointMoved, Conflict, StoreUnavailable
from infra.log import belonging
from infra.log_feed import LogDiffers
from infra.log_reader import Batch, LogReader
from infra.log_service import Delivered
from infra.records import Checkpoint, CheckpointMove
from infra.runtime import Context, Heard, Reaction, Unavailable
from infra.streams import Streams

READER = "inbox"
DEAD_LETTER = "dead-letter"
BATCH = 500
POLL_SECONDS = 0.05
"""How often a process that does not lead looks how far the leader has heard."""
LONGEST_PAUSE = 5.0

log = structlog.get_logger(__name__)


class DeadLetter(msgspec.Struct, frozen=True):
    """A fact the context could not take; it stays in the store's notes until an operator deals with it."""

    context: str
    stream: str
    position: int
    name: str
    data: str
    error: str


class Inbox:
    """Hears other contexts' facts, as long as this process leads the context."""

    def __init__(self, context: Context, streams: Streams, nats: Client) -> None:
        self._context = context
        self._streams = streams
        self._nats = nats
        self._codecs = {name: EventCodec(events) for name, events in context.hears.items()}
        self._checkpoints: dict[tuple[str, int], Checkpoint] = {}
        self._moved = asyncio.Condition()
        self._leading = False

    async def up_to(self, tokens: Sequence[Token]) -> None:
        """Return when what the tokens name was heard; tokens of contexts not listened to are ignored."""
        wanted = [token for token in tokens if token.context in self._context.hears]
        while not all(self._heard(token) for token in wanted):
            if self._leading:
                async with self._moved:
                    await self._moved.wait()
            else:
                await asyncio.sleep(POLL_SECONDS)
                self._checkpoints = await self._streams.store.checkpoints(READER)

    def _heard(self, token: Token) -> bool:
        checkpoint = self._checkpoints.get((token.context, token.partition))
        return checkpoint is not None and checkpoint.position >= token.position

    async def run(self) -> None:
        """Hear facts until cancelled; what goes wrong is tried again with backoff. Raises LogDiffers."""
        if self._context.react is None:
            return
        reader = LogReader(self._nats, f"{self._context.name}-inbox", sorted(self._context.hears))
        pause = 0.1
        try:
            while True:
                try:
                    self._checkpoints = await self._streams.store.checkpoints(READER)
                    self._leading = True
                    await reader.start(self._checkpoints)
                    while True:
                        batch = await reader.next(BATCH)
                        if batch is not None:
                            await self._take(batch)
                            await reader.done(batch)
                            pause = 0.1
                except LogDiffers:
                    # Another store than the one heard so far: only an operator can tell which is right.
                    raise
                except CheckpointMoved:
                    log.info("inbox continues from another process's checkpoint", context=self._context.name)
                except (StoreUnavailable, Unavailable) as error:
                    log.warning("inbox waits", context=self._context.name, error=str(error))
                except Exception:
                    log.exception("inbox starts again", context=self._context.name)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            await reader.stop()

    async def _take(self, batch: Batch) -> None:
        moves = self._moves(batch.checkpoints)
        try:
            await self._react(batch.events, moves)
        except (Conflict, CheckpointMoved, StoreUnavailable, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 - a fact that cannot be taken must not stop the others
            log.warning("a batch is taken fact by fact", error=described(error))
            await self._take_singly(batch)
            await self._react((), self._moves(batch.checkpoints))

    async def _take_singly(self, batch: Batch) -> None:
        for event in batch.events:
            now = self._checkpoints.get((event.context, event.partition), Checkpoint())
            moves = self._moves(
                {(event.context, event.partition): msgspec.structs.replace(now, position=event.position)}
            )
            try:
                await self._react((event,), moves)
            except (Conflict, CheckpointMoved, StoreUnavailable, Unavailable):
                raise
            except Exception as error:
                log.exception(
                    "fact parked",
                    fact=event.event_id,
                    name=event.name,
                    **belonging(event.data, event.metadata),
                )
                await self._react((), moves, parked=_dead_letter(event, error))

    def _moves(self, checkpoints: Mapping[tuple[str, int], Checkpoint]) -> tuple[CheckpointMove, ...]:
        known = self._checkpoints
        return tuple(
            CheckpointMove(
                READER, context, partition, known.get((context, partition), Checkpoint()).position, checkpoint
            )
            for (context, partition), checkpoint in checkpoints.items()
        )

    async def _react(
        self,
        events: Sequence[Delivered],
        moves: Sequence[CheckpointMove],
        parked: DeadLetter | None = None,
    ) -> None:
        """Take some facts in one transaction; after a conflict with a command, again."""
        assert self._context.react is not None
        heard = self._decode(events)
        with tracing.hearing(self._context.name, heard):
            fresh = False
            while True:
                async with Reaction(self._streams, fresh=fresh) as reaction:
                    if heard:
                        await self._context.react(reaction, heard)
                    if parked is not None:
                        key = f"{parked.context}:{parked.position}"
                        reaction.note(DEAD_LETTER, key, msgspec.json.encode(parked))
                    try:
                        await reaction.commit(checkpoints=moves)
                    except Conflict:
                        fresh = True
                        continue
                break
        self._checkpoints.update({(move.context, move.partition): move.checkpoint for move in moves})
        async with self._moved:
            self._moved.notify_all()

    def _decode(self, events: Sequence[Delivered]) -> list[Heard]:
        heard: list[Heard] = []
        for event in events:
            codec = self._codecs[event.context]
            # A fact this context knows nothing of is none of its business; it is heard all the same.
            if event.name in codec.names:
                heard.append(
                    Heard(
                        event.context,
                        codec.decode(event.name, event.data),
                        event.stream,
                        event.version,
                        event.position,
                        event.partition,
                        event.metadata,
                    )
                )
        return heard


def _dead_letter(event: Delivered, error: Exception) -> DeadLetter:
    text = event.data.decode(errors="replace")
    reason = str(error) if isinstance(error, EventUnreadable) else repr(error)
    return DeadLetter(event.context, event.stream, event.position, event.name, text, reason)
