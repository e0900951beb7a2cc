"""Makes one state of what was restored: puts back what was published, rewinds who has read too much."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from nats.aio.client import Client

from gateway.cli.restore.findings import Findings
from gateway.cli.restore.history import as_recorded
from gateway.cli.restore.losses import Losses
from infra.event_store.batch import PUT_BACK
from infra.event_store.store import EventStore
from infra.messages.command_headers import encode_answer
from infra.messages.commands import Accepted
from infra.messages.event_headers import Delivered
from infra.messages.events import Append, Checkpoint, CheckpointMove, CommandRecord
from infra.mongo import Mongo
from infra.nats.jetstream import delete_stream
from infra.runtime.inbox import READER
from read_models.replay.erase import erase

AT_ONCE = 1_000


async def apply(
    found: Findings,
    nats: Client,
    mongo: Mongo,
    stores: Mapping[str, EventStore],
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Do what was found to be done. Ended in the middle, it goes on when it is called with new findings."""
    if found.losses.any:
        file = write_losses(folder, found.losses)
        say(f"wrote what is lost to {file}")
    for context in found.put_back:
        events = found.histories[context].only_published
        await put_back(stores[context], events)
        say(f"{context}: put back {len(events):,} events that were published")
    for context, moves in rewinds(found).items():
        await stores[context].append(Append(checkpoints=tuple(moves)))
        heard = ", ".join(sorted({move.context for move in moves}))
        say(f"{context}: receives {heard} again from where it ends")
    for collection in sorted({ahead.reader for ahead in found.models}):
        # Nothing else is running: there is nobody to wait for.
        await erase(mongo, collection, within=0)
        say(f"read model {collection}: emptied, to be built again")
    for store in stores.values():
        await store.note_head()
    for context in found.given_up:
        await delete_stream(nats, context)
        say(f"{context}: deleted its stream, to be published again from the store")


def write_losses(folder: Path, losses: Losses) -> Path:
    """Write the list, durably, before anything is deleted that tells of it."""
    file = folder / f"restored-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.writelines(line + b"\n" for line in losses.lines())
        out.flush()
        os.fsync(descriptor)
    return file


async def put_back(store: EventStore, events: Sequence[Delivered]) -> None:
    """Write events to the store where they stood, with the ids of the commands that caused them."""
    for part in _whole_commands(events):
        await store.put_back([as_recorded(event) for event in part], _commands(part))


def _whole_commands(events: Sequence[Delivered]) -> Iterator[Sequence[Delivered]]:
    """Parts of some size; what one command caused stays together."""
    begin = 0
    for index in range(1, len(events)):
        same = events[index].metadata.causation_id == events[index - 1].metadata.causation_id
        if index - begin >= AT_ONCE and not same:
            yield events[begin:index]
            begin = index
    if events:
        yield events[begin:]


def _commands(events: Sequence[Delivered]) -> list[CommandRecord]:
    """Of each command that it was carried out, and on which stream: sent again it must change nothing."""
    first: dict[str, Delivered] = {}
    versions: dict[tuple[str, str], int] = {}
    for event in events:
        command_id = event.metadata.causation_id
        first.setdefault(command_id, event)
        versions[command_id, event.stream] = event.version
    return [
        CommandRecord(
            command_id,
            PUT_BACK,
            encode_answer(Accepted(event.stream, versions[command_id, event.stream], 0, event.partition)),
        )
        for command_id, event in first.items()
        if command_id
    ]


def rewinds(found: Findings) -> dict[str, list[CheckpointMove]]:
    """For each context with an inbox that has read too much, where it goes on."""
    moves: dict[str, list[CheckpointMove]] = {}
    for ahead in found.inboxes:
        checkpoint = Checkpoint(position=ahead.head)
        move = CheckpointMove(READER, ahead.context, ahead.partition, ahead.position, checkpoint)
        moves.setdefault(ahead.reader, []).append(move)
    return moves
