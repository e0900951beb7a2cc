"""What has changed between two forms of a read model's documents: how many, in which fields, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from infra.mongo import decode_document

EXAMPLES = 3
"""Examples kept of each field."""
KEYS = 10
"""Examples kept of keys."""
STORED_FORM = "(order of fields)"
"""Named as the field when all values are the same and only their stored form is not."""


class FieldExample(msgspec.Struct, frozen=True):
    """A field of one document, before and after; absent where the document does not have it."""

    key: str
    old: Any = UNSET
    new: Any = UNSET


class FieldChange(msgspec.Struct):
    """A field that differs in some documents; `lines[].quantity` is the quantity of any line."""

    documents: int = 0
    examples: list[FieldExample] = msgspec.field(default_factory=list)


class KeyExamples(msgspec.Struct):
    """Some documents: how many, and the keys of the first."""

    documents: int = 0
    keys: list[str] = msgspec.field(default_factory=list)

    def add(self, key: str) -> None:
        self.documents += 1
        if len(self.keys) < KEYS:
            self.keys.append(key)


class Comparison(msgspec.Struct):
    """Documents before and after, given one by one."""

    same: int = 0
    added: KeyExamples = msgspec.field(default_factory=KeyExamples)
    removed: KeyExamples = msgspec.field(default_factory=KeyExamples)
    changed: KeyExamples = msgspec.field(default_factory=KeyExamples)
    fields: dict[str, FieldChange] = msgspec.field(default_factory=dict)

    @property
    def differences(self) -> int:
        """Documents that are not the same."""
        return self.added.documents + self.removed.documents + self.changed.documents

    def add(self, key: str, old: bytes | None, new: bytes | None) -> None:
        """Compare a document in its stored forms; None if there is none."""
        if old == new:
            self.same += old is not None
        elif old is None:
            self.added.add(key)
        elif new is None:
            self.removed.add(key)
        else:
            self.changed.add(key)
            self._add_fields(key, decode_document(old), decode_document(new))

    def _add_fields(self, key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        counted: set[str] = set()
        for field, before, after in list(differing(old, new)) or [(STORED_FORM, list(old), list(new))]:
            change = self.fields.setdefault(field, FieldChange())
            if field in counted:
                continue
            counted.add(field)
            change.documents += 1
            if len(change.examples) < EXAMPLES:
                change.examples.append(FieldExample(key, before, after))


def differing(
    old: Mapping[str, Any], new: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """The innermost fields that differ, with both values; UNSET where a side has none."""
    for name in (*old, *(name for name in new if name not in old)):
        yield from _differing(f"{path}{name}", old.get(name, UNSET), new.get(name, UNSET))


def _differing(field: str, old: Any | UnsetType, new: Any | UnsetType) -> Iterator[tuple[str, Any, Any]]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from differing(old, new, f"{field}.")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for before, after in zip(old, new, strict=True):
            yield from _differing(f"{field}[]", before, after)
    else:
        yield field, old, new
