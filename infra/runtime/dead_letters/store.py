"""Facts of other contexts that a context could not take: kept as notes until an operator deals with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from infra.event_store.store import EventStore
from infra.messages.codec import EventUnreadable
from infra.messages.event_headers import Delivered
from infra.messages.events import key_of, partition_of

DEAD_LETTER = "dead-letter"

Fate = Literal["parked", "retried", "skipped"]
"""What became of a fact: it could not be taken, was taken later, or is never to be."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A fact the context could not take, or one that waits behind it for the same key (`error` is empty).

    `number` orders a key's letters as the facts came, whichever contexts they are of.
    """

    context: str
    stream: str
    position: int
    name: str
    data: str
    error: str
    version: int = 0
    number: int = 0
    parked_at: datetime | None = None

    @property
    def key(self) -> str:
        """What the fact is about: `42` for all of an order's streams."""
        return key_of(self.stream)

    @property
    def event_id(self) -> str:
        """The fact's id: `order-42@3`."""
        return f"{self.stream}@{self.version}"

    @property
    def note_key(self) -> str:
        """The key of its note."""
        return f"{self.context}:{self.position}"

    @property
    def partition(self) -> int:
        """The partition of every context that the fact's key is in."""
        return partition_of(self.key)


class ParkedFacts:
    """The dead letters of a context, as its notes have them."""

    def __init__(self) -> None:
        self._letters: dict[str, list[DeadLetter]] = {}

    async def load(self, store: EventStore) -> None:
        """Read them from the store."""
        notes = await store.notes(DEAD_LETTER)
        letters = [msgspec.json.decode(note, type=DeadLetter) for note in notes.values()]
        self._letters.clear()
        for letter in sorted(letters, key=lambda it: (it.number, it.context, it.position)):
            self._letters.setdefault(letter.key, []).append(letter)

    def __contains__(self, key: str) -> bool:
        return key in self._letters

    def __len__(self) -> int:
        return sum(len(letters) for letters in self._letters.values())

    def __iter__(self) -> Iterator[str]:
        """The keys that are parked, sorted."""
        return iter(sorted(self._letters))

    def of(self, key: str) -> Sequence[DeadLetter]:
        """A key's letters in the order the facts came; the first is the one that could not be taken."""
        return tuple(self._letters.get(key, ()))

    def letter(self, fact: Delivered, error: Exception | None, *, after: int = 0) -> DeadLetter:
        """A letter for a fact, behind those of its key and `after` more that are not kept yet."""
        behind = self._letters.get(key_of(fact.stream))
        return DeadLetter(
            fact.context,
            fact.stream,
            fact.position,
            fact.name,
            fact.data.decode(errors="replace"),
            "" if error is None else reason(error),
            fact.version,
            (behind[-1].number if behind else 0) + 1 + after,
            datetime.now(UTC),
        )

    def keep(self, letters: Iterable[DeadLetter]) -> None:
        """These are in the store since; one that was there is replaced."""
        for letter in letters:
            its = [it for it in self._letters.get(letter.key, ()) if it.note_key != letter.note_key]
            self._letters[letter.key] = sorted([*its, letter], key=lambda it: it.number)

    def remove(self, letter: DeadLetter) -> None:
        """This one is no longer in the store."""
        left = [it for it in self._letters.get(letter.key, ()) if it.note_key != letter.note_key]
        if left:
            self._letters[letter.key] = left
        else:
            self._letters.pop(letter.key, None)


def reason(error: Exception) -> str:
    """Why a fact could not be taken."""
    return str(error) if isinstance(error, EventUnreadable) else f"{type(error).__name__}: {error}"
