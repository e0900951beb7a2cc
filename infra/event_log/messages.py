"""Questions about a context's log and their answers, as they cross the wire (JSON)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from infra.messages.events import Metadata

PAGE_EVENTS = 1_000
PAGE_BYTES = 900_000
"""A page must fit into one NATS message of 1 MB."""
EVENT_OVERHEAD = 320
"""Bytes an event takes in a page beside its data, its name and its metadata's ids."""
DAMAGED_BYTES = 200
"""How much of damaged data a checked page has."""


class LogRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Events after a position, filtered; `limit` 0 asks for the heads alone.

    `checked` asks for a page that can be decoded even if the stored data of an event is damaged.
    """

    after: int = 0
    limit: int = PAGE_EVENTS
    partitions: tuple[int, ...] | None = None
    stream: str | None = None
    names: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    checked: bool = False


class LogEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event of a page; `data` is its stored JSON, byte for byte. `prev` is 0 in a filtered page.

    In a checked page, a JSON string of its beginning stands for data that is not JSON: no event reads that.
    """

    position: int
    prev: int
    partition: int
    stream: str
    version: int
    name: str
    data: msgspec.Raw
    metadata: Metadata


class LogAnswer(msgspec.Struct, frozen=True, tag="page"):
    """A page: everything that was asked for is in it up to position `through`."""

    events: tuple[LogEvent, ...]
    through: int
    heads: tuple[int, ...]


class BehindRequest(msgspec.Struct, frozen=True):
    """A position for each of the 16 partitions."""

    positions: tuple[int, ...]


class BehindPartition(msgspec.Struct, frozen=True, array_like=True):
    events: int
    oldest: datetime | None


class BehindAnswer(msgspec.Struct, frozen=True, tag="behind"):
    """What lies after each position."""

    partitions: tuple[BehindPartition, ...]


class Heads(msgspec.Struct, frozen=True):
    """Broadcast on `head.<context>`: the last position of each partition."""

    heads: tuple[int, ...]
