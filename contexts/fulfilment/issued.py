"""A command the saga has asked for, as its store keeps it until it is settled."""

from __future__ import annotations

import msgspec

from contexts.fulfilment.events import Step, StepTaken
from contexts.messages import OrderId, ReturnId, wire_name
from infra.runtime import Heard

OUTBOX = "outbox"
"""Notes by command id: commands that are not settled yet."""

FAILED = "failed"
"""Notes by command id: commands that failed, for an operator to have them sent again."""


def saga_stream(order_id: OrderId) -> str:
    """The stream of an order's fulfilment."""
    return f"fulfilment-{order_id}"


class IssuedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th command of the saga's step at a version, byte for byte as it is sent however often it is sent.

    `name` is its wire name; `return_id` the return it belongs to, if it belongs to one.
    """

    order_id: OrderId
    version: int
    number: int
    name: str
    body: msgspec.Raw
    correlation_id: str
    causation_id: str
    traceparent: str
    return_id: ReturnId | None = None

    @property
    def command_id(self) -> str:
        """The same after every restart: whoever carried it out does nothing when it comes again."""
        return f"{saga_stream(self.order_id)}:{self.version}:{self.number}"

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the commands of its order."""
        return self.version, self.number


def issued(step: StepTaken, version: int, fact: Heard) -> tuple[IssuedCommand, ...]:
    """The commands of a step that was taken at a version because of a fact."""
    return tuple(
        _issue(command, step.order_id, version, number, fact)
        for number, command in enumerate(step.commands, start=1)
    )


def _issue(command: Step, order_id: OrderId, version: int, number: int, fact: Heard) -> IssuedCommand:
    return IssuedCommand(
        order_id=order_id,
        version=version,
        number=number,
        name=wire_name(type(command)),
        body=msgspec.Raw(encode(command)),
        correlation_id=fact.metadata.correlation_id,
        causation_id=fact.event_id,
        traceparent=fact.metadata.traceparent,
        return_id=getattr(command, "return_id", None),
    )


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(IssuedCommand).decode
