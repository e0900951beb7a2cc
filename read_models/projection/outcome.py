"""What a batch of events makes of a read model's documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic

import msgspec

from infra.mongo import Write, deleting, replacing
from read_models.projection.folding import Folded, Parked
from read_models.projection.model import D


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
