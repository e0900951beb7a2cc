"""Where wrapped keys lie: a table of subjects in a database of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from infra.event_store.errors import StoreUnavailable


class KeyStoreGone(StoreUnavailable):
    """The key store's file is missing, or another one since it was opened."""


class Wrapped(msgspec.Struct, frozen=True):
    """A wrapped key and the master key it is wrapped with; the key is empty once it was destroyed."""

    master_id: str
    key: bytes

    @property
    def destroyed(self) -> bool:
        """Whether nothing is left but the fact that there was a key."""
        return not self.key

    @property
    def lost(self) -> bool:
        """Whether the key was given up because nobody could use it any more."""
        return self.master_id == LOST


LOST = "lost"
"""In the place of a master key's id: the subject's key was lost, and operators have given it up."""


class Table(Protocol):
    """The keys of all subjects. Every method may raise StoreUnavailable; all are called on one thread."""

    def find(self, subjects: Sequence[str]) -> dict[str, Wrapped]:
        """What there is of these subjects."""

    def add(self, wrapped: Mapping[str, Wrapped]) -> None:
        """Keep these keys, durably, but those of subjects that have or had one or under a retired master."""

    def destroy(self, subjects: Sequence[str]) -> None:
        """Overwrite these keys, durably; that they were destroyed is remembered."""

    def lose(self, subjects: Sequence[str]) -> None:
        """Put in the place of these subjects' keys, if there are any, that they were lost."""

    def counts(self) -> dict[str, int]:
        """How many keys are wrapped with each master key."""

    def samples(self) -> dict[str, Wrapped]:
        """Of each master key that something is wrapped with a subject and its key."""

    def subjects_of(self, master_id: str) -> list[str]:
        """Whose keys are wrapped with a master key."""

    def is_empty(self) -> bool:
        """Whether there never was a key here."""

    def wrapped_otherwise(self, master_id: str, limit: int) -> dict[str, Wrapped]:
        """Some keys that are wrapped with another master key than this one."""

    def rewrap(self, before: Mapping[str, Wrapped], after: Mapping[str, Wrapped]) -> None:
        """Exchange wrapped keys that are still as they were before."""

    def retire(self, master_id: str) -> bool:
        """Let `add` keep nothing under this master key any more; False if something is."""

    def interrupt(self) -> None:
        """End what is under way; called from another thread."""

    def close(self) -> None:
        """Let go of the database."""
