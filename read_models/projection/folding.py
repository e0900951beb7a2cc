"""Folding events into documents: the one way, for the projector, a rebuild and verification alike."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic

import msgspec

from infra.messages.codec import EventUnreadable
from infra.messages.event_headers import Delivered
from infra.mongo import Write, deleting, replacing
from read_models.projection.model import D, Occurrence, ReadModel, Source


class Outcome(msgspec.Struct, Generic[D]):
    """The documents known before, those that were folded, and the events that could not be applied."""

    known: Mapping[str, D]
    folded: Mapping[str, Folded[D]]
    parked: Sequence[Parked]

    @property
    def deletes(self) -> bool:
        """Whether a document is no more."""
        return any(result.data is None and key in self.known for key, result in self.folded.items())

    def changes(self) -> tuple[list[bytes], list[Write]]:
        """Documents to insert, in their stored form, and what is to be done to those that are there."""
        inserts: list[bytes] = []
        writes: list[Write] = []
        for key, result in self.folded.items():
            if result.data is None:
                if key in self.known:
                    writes.append(deleting(key))
            elif key not in self.known:
                inserts.append(result.data)
            elif result.document is not self.known[key]:
                writes.append(replacing(key, result.data))
        return inserts, writes


class Parked(msgspec.Struct, frozen=True):
    """An event that was not applied: it could not be (`error`), or one before it for its key could not."""

    key: str
    event: Delivered
    error: str | None = None
    trace: str | None = None
    """Where it went wrong: the last line of the traceback."""


class Sorted(msgspec.Struct):
    """Events sorted by the document they belong to, each document's in the order they came."""

    by_key: dict[str, list[tuple[Delivered, Occurrence]]]
    parked: list[Parked]

    def events(self) -> Iterator[Delivered]:
        """Those that are to be applied, each document's in the order they came."""
        return (event for items in self.by_key.values() for event, _ in items)


class Folded(msgspec.Struct, Generic[D]):
    """A document after its events: as it is and in its stored form; None if there is none."""

    document: D | None
    data: bytes | None
    parked: Sequence[Parked] = ()


def sort(model: ReadModel[Any], events: Iterable[Delivered], parked: Collection[str] = ()) -> Sorted:
    """Decode events and tell whose they are; what belongs to a parked key is parked behind it.

    An event that cannot be decoded parks its document. If only its content would tell which that is, it parks
    its stream.
    """
    closed = set(parked)
    by_key: dict[str, list[tuple[Delivered, Occurrence]]] = {}
    waiting: list[Parked] = []
    sources = {source.context: source for source in model.sources}
    for event in events:
        source = sources[event.context]
        if not source.understands(event):
            continue
        try:
            key, occurrence = _read(model, source, event)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it must not stop the others
            key = _key_unread(model, event)
            waiting.append(_parked(key, event, None if key in closed else error))
            closed.add(key)
            continue
        if key is None:
            continue
        behind = _behind(model, key, event, closed)
        if behind is not None:
            waiting.append(Parked(behind, event))
        else:
            by_key.setdefault(key, []).append((event, occurrence))
    return Sorted(by_key, waiting)


def _read(model: ReadModel[Any], source: Source, event: Delivered) -> tuple[str | None, Occurrence]:
    occurrence = source.read(event)
    return (occurrence.key if model.key is None else model.key(occurrence)), occurrence


def _key_unread(model: ReadModel[Any], event: Delivered) -> str:
    return event.stream.partition("-")[2] if model.key is None else event.stream


def _behind(model: ReadModel[Any], key: str, event: Delivered, closed: Collection[str]) -> str | None:
    if key in closed:
        return key
    return event.stream if model.key is not None and event.stream in closed else None


def fold(
    model: ReadModel[D], key: str, document: D | None, events: Sequence[tuple[Delivered, Occurrence]]
) -> Folded[D]:
    """A document after more of its events; where one cannot be applied, it and those after it are parked."""
    try:
        folded = document
        for _, occurrence in events:
            folded = model.project(folded, occurrence)
        return Folded(folded, None if folded is None else model.stored(key, folded))
    except Exception:  # noqa: BLE001 - found out below, event by event
        return _fold_singly(model, key, document, events)


def _fold_singly(
    model: ReadModel[D], key: str, document: D | None, events: Sequence[tuple[Delivered, Occurrence]]
) -> Folded[D]:
    data = None if document is None else model.stored(key, document)
    for number, (event, occurrence) in enumerate(events):
        try:
            following = model.project(document, occurrence)
            data = None if following is None else model.stored(key, following)
            document = following
        except Exception as error:  # noqa: BLE001 - it is kept with the event, for an operator
            behind = [Parked(key, later) for later, _ in events[number + 1 :]]
            return Folded(document, data, [_parked(key, event, error), *behind])
    return Folded(document, data)


def _parked(key: str, event: Delivered, error: Exception | None) -> Parked:
    if error is None:
        return Parked(key, event)
    text = str(error) if isinstance(error, EventUnreadable) else f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    trace = f"{frames[-1].filename}:{frames[-1].lineno} {frames[-1].line}" if frames else None
    return Parked(key, event, text, trace)


class Fold(Generic[D]):
    """Documents folded from events alone, from none: what a read model's documents ought to be.

    Holds the documents of the events it was given; give it one partition after the other. `only` the
    documents of some keys are kept, by default of all.
    """

    def __init__(self, model: ReadModel[D], only: Collection[str] | None = None) -> None:
        self._model = model
        self._only = only
        self._documents: dict[str, D] = {}
        self.parked: dict[str, list[Parked]] = {}

    def add(self, events: Iterable[Delivered]) -> None:
        """Apply events: per context and partition in order, the contexts in any."""
        found = sort(self._model, events, self.parked.keys())
        self._park(found.parked)
        for key, its in found.by_key.items():
            if self._only is not None and key not in self._only:
                continue
            folded = fold(self._model, key, self._documents.get(key), its)
            if folded.document is None:
                self._documents.pop(key, None)
            else:
                self._documents[key] = folded.document
            self._park(folded.parked)

    def _park(self, parked: Iterable[Parked]) -> None:
        for item in parked:
            self.parked.setdefault(item.key, []).append(item)

    def documents(self) -> Mapping[str, D]:
        """The documents by their keys."""
        return self._documents

    def stored(self) -> Mapping[str, bytes]:
        """The documents in their stored form."""
        return {key: self._model.stored(key, document) for key, document in self._documents.items()}
