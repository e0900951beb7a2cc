"""An event as a message: its subject and headers on JetStream, and what a reader gets of it.

Subject: `ev.<context>.<partition>.<Event>`, the event's class without its context. The stream is not in it:
nats-server keeps every subject of a stream in memory, some 380 bytes each, and a subject per event is as many
as there are events. Payload: the stored JSON, byte for byte. Headers, for ever:

- `Es-Pos`: position in the context's log
- `Es-Prev`: position of the event before it in the same partition, 0 for the partition's first
- `Es-Stream-Version`: version of its store stream
- `Es-Id`: event id, `<stream>@<version>`
- `Es-Time`: the metadata's time, ISO 8601
- `Correlation-Id`, `Causation-Id`, `Actor`, `traceparent`: the metadata's; percent-encoded where a value
  would not survive in a header
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, unquote

import msgspec

from infra.messages.events import Metadata, Recorded

POSITION = "Es-Pos"
PREVIOUS = "Es-Prev"
EVENT_ID = "Es-Id"

_PLAIN = re.compile(r"[!-$&-~](?:[ -$&-~]*[!-$&-~])?")


class Delivered(msgspec.Struct, frozen=True):
    """An event as it reaches a reader.

    `prev` is the position before it in the same partition; `sequence` its JetStream sequence, 0 when it came
    from the context's store.
    """

    context: str
    position: int
    prev: int
    partition: int
    stream: str
    version: int
    name: str
    data: bytes
    metadata: Metadata
    sequence: int = 0

    @property
    def event_id(self) -> str:
        """The event's id, unique over all contexts: `order-42@3`."""
        return f"{self.stream}@{self.version}"


def subject_of(context: str, event: Recorded) -> str:
    """Where an event is published."""
    return f"ev.{context}.{event.partition}.{event.name.removeprefix(context + '.')}"


def headers_of(event: Recorded, prev: int) -> dict[str, str]:
    """What goes with an event; `prev` is the position before it in its partition."""
    metadata = event.metadata
    headers = {
        POSITION: str(event.position),
        PREVIOUS: str(prev),
        "Es-Stream-Version": str(event.version),
        EVENT_ID: event.event_id,
        "Es-Time": metadata.time.isoformat(),
        "Correlation-Id": _encoded(metadata.correlation_id),
        "Causation-Id": _encoded(metadata.causation_id),
        "Actor": _encoded(metadata.actor),
    }
    if metadata.traceparent:
        headers["traceparent"] = _encoded(metadata.traceparent)
    return headers


def delivered(
    context: str, subject: str, headers: Mapping[str, str], data: bytes, sequence: int
) -> Delivered:
    """Read a message; raises KeyError or ValueError if it is no event."""
    _, _, partition, name = subject.split(".", 3)
    stream = headers[EVENT_ID].rpartition("@")[0]
    return Delivered(
        context,
        int(headers[POSITION]),
        int(headers[PREVIOUS]),
        int(partition),
        stream,
        int(headers["Es-Stream-Version"]),
        name if "." in name else f"{context}.{name}",
        data,
        Metadata(
            time=datetime.fromisoformat(headers["Es-Time"]),
            correlation_id=_decoded(headers.get("Correlation-Id", "")),
            causation_id=_decoded(headers.get("Causation-Id", "")),
            actor=_decoded(headers.get("Actor", "")),
            traceparent=_decoded(headers.get("traceparent", "")),
        ),
        sequence,
    )


def _encoded(value: str) -> str:
    return value if not value or _PLAIN.fullmatch(value) else quote(value, safe="")


def _decoded(value: str) -> str:
    return unquote(value) if "%" in value else value
