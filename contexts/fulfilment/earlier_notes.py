"""Outbox notes as earlier versions wrote them: they named the order and the return."""

from __future__ import annotations

import msgspec

from contexts.messages import OrderId, ReturnId
from infra.sagas.outbox import OutboxMessage


class EarlierNote(msgspec.Struct, frozen=True, kw_only=True):
    """A command of the saga's event at `version`; the first versions gave it no id."""

    order_id: OrderId
    version: int
    number: int
    name: str
    body: msgspec.Raw
    correlation_id: str
    causation_id: str
    traceparent: str
    return_id: ReturnId | None = None
    given_id: str = ""


def read_earlier(note: bytes) -> OutboxMessage:
    """The same as it is written today; raises msgspec.DecodeError."""
    it = msgspec.json.decode(note, type=EarlierNote)
    return OutboxMessage(
        key=it.order_id,
        version=it.version,
        number=it.number,
        command_id=it.given_id or f"fulfilment-{it.order_id}:{it.version}:{it.number}",
        name=it.name,
        body=it.body,
        correlation_id=it.correlation_id,
        causation_id=it.causation_id,
        traceparent=it.traceparent,
        about=it.return_id,
    )
