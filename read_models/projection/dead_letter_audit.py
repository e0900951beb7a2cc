"""Events that operators had read models do without, and everything else that was done about dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from infra.mongo import Access, Sort, Transaction, encode_document

AUDIT = "dead_letter_audit"
INDEXES: tuple[Sort, ...] = ((("action", 1), ("model", 1)),)
SKIP = "skip"
RETRY = "retry"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did about a key's dead letters, when and why, and what came of it.

    `applied` events are in documents since, `parked` still wait. `error` is what was wrong before.
    """

    id: str
    at: str
    actor: str
    action: str
    model: str
    collection: str
    key: str
    event_id: str
    error: str
    reason: str | None
    applied: int
    parked: int


async def record(transaction: Transaction, entries: Sequence[AuditEntry]) -> None:
    """Write down what is done in this transaction."""
    await transaction.insert(AUDIT, [encode_document(entry.id, _fields(entry)) for entry in entries])


def _fields(entry: AuditEntry) -> dict[str, object]:
    fields = msgspec.structs.asdict(entry)
    del fields["id"]
    return fields


async def audit(access: Access, model: str) -> list[AuditEntry]:
    """What was done, the latest last."""
    found = await access.find(AUDIT, {"model": model}, sort=(("at", 1), ("_id", 1)))
    return [msgspec.convert({**item, "id": item["_id"]}, AuditEntry) for item in found]


async def skipped_events(access: Access, model: str) -> set[str]:
    """The ids of events that a model does without, however it is built."""
    found = await access.find(AUDIT, {"action": SKIP, "model": model})
    return {item["event_id"] for item in found}
