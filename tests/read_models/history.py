"""Events as read models get them, and `given(model, events).then(document)`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from contexts.messages import wire_name
from infra.messages.event_headers import Delivered
from infra.messages.events import Metadata, key_of, partition_of
from read_models.projection.folding import Fold
from read_models.projection.model import ReadModel, instant

START = datetime(2025, 3, 1, 12, tzinfo=UTC)


def at(number: int) -> str:
    """When the n-th event of a history happened, as documents hold it."""
    return instant(moment(number))


def moment(number: int) -> datetime:
    """When the n-th event (from 1) of a history happened."""
    return START + timedelta(seconds=number)


def history(*happened: tuple[str, msgspec.Struct]) -> list[Delivered]:
    """What happened on which stream, one thing a second, in each context's log from position 1 on."""
    versions: dict[str, int] = {}
    positions: dict[str, int] = {}
    heads: dict[tuple[str, int], int] = {}
    events = []
    for number, (stream, event) in enumerate(happened, 1):
        name = wire_name(type(event))
        context = name.partition(".")[0]
        partition = partition_of(key_of(stream))
        versions[stream] = versions.get(stream, 0) + 1
        positions[context] = positions.get(context, 0) + 1
        events.append(
            Delivered(
                context,
                positions[context],
                heads.get((context, partition), 0),
                partition,
                stream,
                versions[stream],
                name,
                msgspec.json.encode(event),
                Metadata(time=moment(number), causation_id="c", correlation_id="c", actor="test"),
            )
        )
        heads[context, partition] = positions[context]
    return events


def broken(event: Delivered) -> Delivered:
    """The same event with content that cannot be read."""
    return msgspec.structs.replace(event, data=b'{"type":"' + event.name.encode() + b'"}')


def by_context(events: Iterable[Delivered]) -> list[list[Delivered]]:
    """Each context's events, in order."""
    ordered = sorted(events, key=lambda event: (event.context, event.position))
    return [list(its) for _, its in itertools.groupby(ordered, key=lambda event: event.context)]


class Given:
    """A read model and what happened."""

    def __init__(self, model: ReadModel[Any], events: Sequence[Delivered]) -> None:
        self._fold = Fold(model)
        self._fold.add(events)
        self._model = model

    def document(self, key: str) -> dict[str, Any] | None:
        """The document of a key."""
        stored = self._fold.documents().get(key)
        if stored is None:
            return None
        shown = msgspec.json.decode(msgspec.json.encode(stored))
        return {name: value for name, value in shown.items() if name not in self._model.private}

    def then(self, key: str, **fields: Any) -> Given:
        """The document has these fields and no others; fails if an event could not be applied."""
        assert not self._fold.parked
        assert self.document(key) == fields
        return self

    def then_only(self, *keys: str) -> None:
        """There are documents of these keys alone."""
        assert set(self._fold.documents()) == set(keys)


def given(model: ReadModel[Any], *happened: tuple[str, msgspec.Struct]) -> Given:
    """Events to fold from nothing."""
    return Given(model, history(*happened))
