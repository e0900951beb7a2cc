"""What a read model is: which events feed it, which document each event belongs to, and how it changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from infra.messages.codec import EventCodec, Upcaster
from infra.messages.event_headers import Delivered
from infra.messages.events import key_of
from infra.mongo import Sort, encode_document

D = TypeVar("D", bound=msgspec.Struct)


def instant(time: datetime) -> str:
    """A time as documents hold it: UTC, ISO 8601, always six decimals, so that texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def latest(known: str | None, time: str) -> str:
    """The later of two times; events of several contexts come in any order."""
    return time if known is None or time > known else known


class Occurrence(msgspec.Struct, frozen=True):
    """An event that happened, with what documents want to know of its circumstances.

    `key` is its stream's, `version` counts its stream's events, `time` is as documents hold it.
    """

    event: Any
    key: str
    version: int
    partition: int
    time: str


class Source:
    """A context whose events feed a model: the union of those events it understands."""

    def __init__(self, context: str, events: Any, upcasters: Mapping[str, Upcaster] | None = None) -> None:
        self.context = context
        self._codec = EventCodec(events, upcasters)

    @property
    def names(self) -> frozenset[str]:
        """The wire names of the events it understands."""
        return self._codec.names

    def understands(self, event: Delivered) -> bool:
        """Whether the event means anything to the model."""
        return event.name in self._codec.names

    def read(self, event: Delivered) -> Occurrence:
        """Decode an event; raises EventUnreadable."""
        return Occurrence(
            self._codec.decode(event.name, event.data),
            key_of(event.stream),
            event.version,
            event.partition,
            instant(event.metadata.time),
        )


@dataclass(frozen=True, kw_only=True)
class ReadModel(Generic[D]):
    """One question's answer, kept ready: a document per key.

    `project` is pure: from a document (None = there is none) and an event to the document after it. Each
    context's events touch only their own fields. `key` tells an event's document (None = it changes none); by
    default documents are kept per stream key. `visible` selects the documents queries see: one that only
    another context's events have made is kept back. `private` fields serve queries and are not shown.
    """

    name: str
    sources: tuple[Source, ...]
    document: type[D]
    project: Callable[[D | None, Occurrence], D | None]
    key: Callable[[Occurrence], str | None] | None = None
    indexes: tuple[Sort, ...] = ()
    visible: Mapping[str, Any] | None = None
    private: tuple[str, ...] = ()

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts whose events feed it."""
        return tuple(source.context for source in self.sources)

    def stored(self, key: str, document: D) -> bytes:
        """A document's stored form: byte for byte the same for equal documents. Raises DocumentUnfit."""
        return encode_document(key, msgspec.to_builtins(document))

    def loaded(self, fields: Mapping[str, Any]) -> D:
        """A document from what MongoDB holds; raises msgspec.ValidationError."""
        return msgspec.convert(fields, self.document)
