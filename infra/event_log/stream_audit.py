"""Whether JetStream has what a context's store has: every event once, up to the same position."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from infra.nats.jetstream import last_message, stream_info, stream_name


class StreamContents(msgspec.Struct, frozen=True):
    """What a context's stream holds at one moment; `position` is its last event's in the store."""

    position: int = 0
    messages: int = 0
    holes: int = 0
    """Messages that were there once and are not any more."""
    exists: bool = True


async def stream_contents(nats: Client, context: str) -> StreamContents:
    """Read it; raises NatsUnavailable."""
    name = stream_name(context)
    while True:
        info = await stream_info(nats, name)
        if info is None:
            return StreamContents(exists=False)
        state = info.state
        last = await last_message(nats, name, f"ev.{context}.>")
        again = await stream_info(nats, name)
        # The three answers belong together only if nothing was published between them.
        if again is not None and again.state == state:
            holes = state.last_seq - state.messages
            return StreamContents(last.position if last else 0, state.messages, holes)


class Complaint(msgspec.Struct, frozen=True):
    """What is wrong with a stream; `anew`: publishing what it lacks does not mend it, only all of it anew."""

    what: str
    anew: bool = False


def complaints(state: StreamContents, *, head: int, events: int) -> list[Complaint]:
    """What is wrong with a stream; `events` is how many the store has up to the stream's last position.

    `head` is where the store stood before the stream was read, so that what was appended since is no fault.
    """
    if not state.exists:
        return [Complaint("there is no stream")] if head else []
    found = []
    if state.position < head:
        found.append(Complaint(f"ends at position {state.position:,}, the store at {head:,}"))
    if state.holes:
        found.append(Complaint(f"{state.holes:,} messages are missing within it", anew=True))
    if state.messages + state.holes != events:
        found.append(
            Complaint(
                f"{state.messages:,} messages, but the store has {events:,} events up to {state.position:,}",
                anew=True,
            )
        )
    return found
