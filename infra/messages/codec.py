"""Events to and from their stored form: JSON under a wire name, lifted to today's form when it is old."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from infra.messages.events import NewEvent

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns an old event's fields into what the current type takes."""


class EventUnreadable(Exception):
    """A stored event cannot be read; the message names the event and what does not fit."""


class EventCodec:
    """Reads and writes the events of one union of message types."""

    def __init__(self, events: Any, upcasters: Mapping[str, Upcaster] | None = None) -> None:
        types: tuple[type[msgspec.Struct], ...] = typing.get_args(events) or (events,)
        self.names = frozenset(str(kind.__struct_config__.tag) for kind in types)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(events)
        self._encoder = msgspec.json.Encoder()
        self._events = events
        self._upcasters = dict(upcasters or {})

    def decode(self, name: str, data: bytes) -> Any:
        """Read an event; raises EventUnreadable."""
        try:
            if name in self._upcasters:
                return msgspec.convert(self._upcasters[name](msgspec.json.decode(data)), self._events)
            return self._decoder.decode(data)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise EventUnreadable(f"{name}: {error}") from error

    def encode(self, event: msgspec.Struct) -> NewEvent:
        """The form an event is stored and published in."""
        return NewEvent(str(event.__struct_config__.tag), self._encoder.encode(event))
