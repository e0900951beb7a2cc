"""A context's inbox: facts of other contexts, each with its effect and the checkpoint in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog
from nats.aio.client import Client

from infra.event_log.client import ContextUnavailable, LogClient
from infra.event_log.context_subscription import LogDiffers
from infra.event_log.server import Delivered
from infra.event_log.subscription import Batch, LogReader
from infra.event_log.unknown_events import UnknownEvents
from infra.event_store.store import CheckpointMoved, Conflict, StoreUnavailable
from infra.messages.codec import EventCodec, EventUnreadable
from infra.messages.commands import Token
from infra.messages.events import Checkpoint, CheckpointMove, Note, key_of
from infra.observability import tracing
from infra.observability.logging.redaction import described
from infra.observability.logging.setup import belonging
from infra.retry import Backoff, retry
from infra.runtime.context import Context, EventSession, ReceivedEvent, Unavailable
from infra.runtime.dead_letters.store import DEAD_LETTER, DeadLetter, Fate, ParkedFacts
from infra.runtime.stream_cache import Streams

READER = "inbox"
SETTLED = "dead-letters"
"""A reader's name whose position counts what was done about dead letters: two leaders cannot both do it."""
BATCH = 500
POLL_SECONDS = 0.05
"""How often a process that does not lead looks how far the leader has heard."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
STARTING_SECONDS = 60.0
"""How long a start waits for another context's answer, or for the inbox to get on."""

Effect = Callable[[EventSession], Awaitable[None]]

TRANSIENT = (Conflict, CheckpointMoved, StoreUnavailable, Unavailable)
"""What says nothing about a fact: it is tried again as it is."""

log = structlog.get_logger(__name__)


class Inbox:
    """Hears other contexts' facts, as long as this process leads the context."""

    def __init__(self, context: Context, streams: Streams, nats: Client) -> None:
        self._context = context
        self._streams = streams
        self._nats = nats
        self._codecs = {name: EventCodec(events) for name, events in context.receives.items()}
        self._remedy = (
            f"upgrade {context.name}, then run `orderfold replay dead-letters retry {context.name}`; "
            "upgrade readers before writers"
        )
        self._unknown = UnknownEvents(context.name, context.known_events, self._remedy)
        self._checkpoints: dict[tuple[str, int], Checkpoint] = {}
        self._moved = asyncio.Condition()
        self._leading = False
        self.parked = ParkedFacts()
        self._settled = 0
        self._taking = asyncio.Lock()

    @property
    def leads(self) -> bool:
        """Whether it has begun to hear, or to take what was parked."""
        return self._leading

    async def up_to(self, tokens: Sequence[Token]) -> None:
        """Return when what the tokens name was heard; tokens of contexts not listened to are ignored."""
        wanted = [token for token in tokens if token.context in self._context.receives]
        while not all(self.has_received(token) for token in wanted):
            if self._leading:
                async with self._moved:
                    await self._moved.wait()
            else:
                await asyncio.sleep(POLL_SECONDS)
                self._checkpoints = await self._streams.store.checkpoints(READER)

    def has_received(self, token: Token) -> bool:
        """Whether everything up to a token was heard, as far as this process knows."""
        return self._position(token.context, token.partition) >= token.position

    def _position(self, context: str, partition: int) -> int:
        return self._checkpoints.get((context, partition), Checkpoint()).position

    async def caught_up(self) -> None:
        """Return when all that had happened when this was called was heard.

        A context that does not answer is not waited for longer than it takes to restart one, nor is an inbox
        that does not get on: what then is missing is heard later.
        """
        client = LogClient(self._nats)
        heads: list[Token] = []
        for context in sorted(self._context.receives):
            try:
                async with asyncio.timeout(STARTING_SECONDS):
                    heads += await _heads(client, context)
            except TimeoutError:
                log.warning("inbox skips a context that does not answer", context=context)
        while ahead := [token for token in heads if not self.has_received(token)]:
            try:
                async with asyncio.timeout(STARTING_SECONDS), self._moved:
                    await self._moved.wait()
            except TimeoutError:
                log.warning("inbox makes no progress", context=self._context.name, behind=str(ahead[0]))
                return

    async def run(self) -> None:
        """Hear facts until cancelled; what goes wrong is tried again with backoff. Raises LogDiffers."""
        if self._context.react is None:
            # There is nothing to hear, and no dead letters of it.
            self._leading = True
            return
        reader = LogReader(self._nats, f"{self._context.name}-inbox", sorted(self._context.receives))
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        try:
            while True:
                try:
                    self._checkpoints = await self._streams.store.checkpoints(READER)
                    await self._load_parked()
                    self._leading = True
                    async with self._moved:
                        self._moved.notify_all()
                    await reader.start(self._checkpoints)
                    while True:
                        batch = await reader.next(BATCH)
                        if batch is not None:
                            async with self._taking:
                                await self._take(batch)
                            await reader.done(batch)
                            backoff.reset()
                except LogDiffers:
                    # Another store than the one heard so far: only an operator can tell which is right.
                    raise
                except CheckpointMoved:
                    log.info("inbox continues from a newer checkpoint", context=self._context.name)
                except (StoreUnavailable, Unavailable) as error:
                    log.warning("inbox waits", context=self._context.name, error=str(error))
                except Exception:
                    log.exception("inbox restarts", context=self._context.name)
                await backoff.pause()
        finally:
            await reader.stop()

    async def _take(self, batch: Batch) -> None:
        self._unknown.look(batch.events)
        moves = self._moves(batch.checkpoints)
        waiting = [event for event in batch.events if key_of(event.stream) in self.parked]
        others = [event for event in batch.events if key_of(event.stream) not in self.parked]
        try:
            await self._take_and_keep(others, waiting, moves)
        except TRANSIENT:
            raise
        except Exception as error:  # noqa: BLE001 - a fact that cannot be taken must not stop the others
            log.warning("batch failed, handling its events one by one", error=described(error))
            await self._take_singly(batch)
            await self._react((), self._moves(batch.checkpoints))

    async def _take_and_keep(
        self, events: Sequence[Delivered], waiting: Sequence[Delivered], moves: Sequence[CheckpointMove]
    ) -> None:
        """Take some facts; others wait behind a parked one of their key."""
        letters = [self.parked.letter(event, None, after=number) for number, event in enumerate(waiting)]

        async def keep(session: EventSession) -> None:
            for letter in letters:
                session.note(DEAD_LETTER, letter.note_key, msgspec.json.encode(letter))

        await self._react(events, moves, keep)
        self.parked.keep(letters)

    async def _take_singly(self, batch: Batch) -> None:
        for event in batch.events:
            now = self._checkpoints.get((event.context, event.partition), Checkpoint())
            moves = self._moves(
                {(event.context, event.partition): msgspec.structs.replace(now, position=event.position)}
            )
            if key_of(event.stream) in self.parked:
                await self._take_and_keep((), [event], moves)
                continue
            try:
                await self._react((event,), moves)
            except TRANSIENT:
                raise
            except Exception as error:
                log.exception(
                    "event parked",
                    context=self._context.name,
                    fact=event.event_id,
                    name=event.name,
                    advice=f"orderfold replay dead-letters show {self._context.name} {key_of(event.stream)}",
                    **belonging(event.data, event.metadata),
                )
                await self._park(self.parked.letter(event, error), moves)

    async def _park(self, letter: DeadLetter, moves: Sequence[CheckpointMove]) -> None:
        async def park(session: EventSession) -> None:
            session.note(DEAD_LETTER, letter.note_key, msgspec.json.encode(letter))
            await self._tell(session, letter, "parked")

        async def park_untold(session: EventSession) -> None:
            session.note(DEAD_LETTER, letter.note_key, msgspec.json.encode(letter))

        try:
            await self._react((), moves, park)
        except TRANSIENT:
            raise
        except Exception:
            # What the context keeps about it may be unreadable, too: the letter is kept all the same.
            log.exception("dead letter handler failed", fact=letter.event_id)
            await self._react((), moves, park_untold)
        self.parked.keep([letter])

    async def _tell(self, session: EventSession, letter: DeadLetter, fate: Fate) -> None:
        if self._context.on_dead_letter is not None:
            await self._context.on_dead_letter(session, letter, fate)

    async def retry(self, letter: DeadLetter, fact: Delivered, audit: Sequence[Note]) -> DeadLetter | None:
        """Take a parked fact; None if it was taken, else the letter with the reason of now.

        `audit` is noted in the same transaction if it was taken. Raises what a store raises, CheckpointMoved
        when another process leads, and Unavailable.
        """

        async def forget(session: EventSession) -> None:
            await self._forget(session, letter, "retried", audit)

        async with self._taking:
            try:
                await self._react((fact,), (self._settling(),), forget)
            except TRANSIENT:
                raise
            except Exception as error:
                log.exception("parked event failed again", context=self._context.name, fact=fact.event_id)
                again = msgspec.structs.replace(
                    self.parked.letter(fact, error), number=letter.number, parked_at=letter.parked_at
                )
                await self._park(again, (self._settling(),))
                return again
            self.parked.remove(letter)
        return None

    async def skip(self, letter: DeadLetter, audit: Sequence[Note]) -> None:
        """Never take a parked fact; raises as `retry` does."""

        async def forget(session: EventSession) -> None:
            await self._forget(session, letter, "skipped", audit)

        async with self._taking:
            await self._react((), (self._settling(),), forget)
            self.parked.remove(letter)

    async def _forget(
        self, session: EventSession, letter: DeadLetter, fate: Fate, audit: Sequence[Note]
    ) -> None:
        session.note(DEAD_LETTER, letter.note_key, None)
        for note in audit:
            session.note(note.kind, note.key, note.value)
        if letter.error:
            await self._tell(session, letter, fate)

    def _moves(self, checkpoints: Mapping[tuple[str, int], Checkpoint]) -> tuple[CheckpointMove, ...]:
        known = self._checkpoints
        return tuple(
            CheckpointMove(
                READER, context, partition, known.get((context, partition), Checkpoint()).position, checkpoint
            )
            for (context, partition), checkpoint in checkpoints.items()
        )

    async def _load_parked(self) -> None:
        store = self._streams.store
        await self.parked.load(store)
        mine = await store.checkpoints(SETTLED)
        self._settled = mine.get((self._context.name, 0), Checkpoint()).position

    def _settling(self) -> CheckpointMove:
        moved = Checkpoint(position=self._settled + 1)
        return CheckpointMove(SETTLED, self._context.name, 0, self._settled, moved)

    async def _react(
        self, events: Sequence[Delivered], moves: Sequence[CheckpointMove], also: Effect | None = None
    ) -> None:
        """Take some facts and do something else, in one transaction; after a conflict, again."""
        assert self._context.react is not None
        heard = self._decode(events)
        with tracing.handling_events(self._context.name, heard):
            fresh = False
            while True:
                async with EventSession(self._streams, fresh=fresh) as session:
                    if heard:
                        await self._context.react(session, heard)
                    if also is not None:
                        await also(session)
                    try:
                        await session.commit(checkpoints=moves)
                    except Conflict:
                        fresh = True
                        continue
                break
        for move in moves:
            if move.reader == SETTLED:
                self._settled = move.checkpoint.position
            else:
                self._checkpoints[move.context, move.partition] = move.checkpoint
        async with self._moved:
            self._moved.notify_all()

    def _decode(self, events: Sequence[Delivered]) -> list[ReceivedEvent]:
        heard: list[ReceivedEvent] = []
        for event in events:
            codec = self._codecs[event.context]
            # Of the types the build knows, a context handles those it needs.
            if event.name in codec.names:
                heard.append(
                    ReceivedEvent(
                        event.context,
                        codec.decode(event.name, event.data),
                        event.stream,
                        event.version,
                        event.position,
                        event.partition,
                        event.metadata,
                    )
                )
            elif self._unknown.is_unknown(event):
                raise EventUnreadable(f"{event.name}: this build does not know such an event: {self._remedy}")
        return heard


async def _heads(client: LogClient, context: str) -> list[Token]:
    """Where a context's log ends, partition by partition, as soon as it answers."""
    heads = await retry(
        lambda: client.heads(context), ContextUnavailable, first=FIRST_PAUSE, longest=LONGEST_PAUSE
    )
    return [Token(context, head, partition) for partition, head in enumerate(heads)]
