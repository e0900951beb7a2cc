"""A command the saga has asked for, as its store keeps it until it is settled."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contexts.fulfilment.events import Step, command_id
from contexts.messages import OrderId, ReturnId, wire_name

OUTBOX = "outbox"
"""Notes by command id: commands that are not settled yet."""

FAILED = "failed"
"""Notes by command id: commands that failed, for an operator to have them sent again."""


def saga_stream(order_id: OrderId) -> str:
    """The stream of an order's fulfilment."""
    return f"fulfilment-{order_id}"


class IssuedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command of the saga, byte for byte as it is sent however often it is sent.

    It is the n-th command of the saga's event at `version`. `name` is its wire name; `return_id` the return
    it belongs to, if it belongs to one. `given_id` is empty in notes of earlier versions.
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
    given_id: str = ""

    @property
    def command_id(self) -> str:
        """The same after every restart: the context that carried it out does nothing when it comes again."""
        return self.given_id or f"{saga_stream(self.order_id)}:{self.version}:{self.number}"

    @property
    def step(self) -> str:
        """Its identity among the steps of its order."""
        return self.name if self.return_id is None else f"{self.name}:{self.return_id}"

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the commands of its order."""
        return self.version, self.number


class Cause(msgspec.Struct, frozen=True):
    """What the saga answers with commands: `causation_id` is a fact's or a command's."""

    causation_id: str
    correlation_id: str
    traceparent: str


def issue(
    commands: Sequence[Step], order_id: OrderId, version: int, cause: Cause
) -> tuple[IssuedCommand, ...]:
    """The commands of the saga's event at a version."""
    return tuple(
        IssuedCommand(
            order_id=order_id,
            version=version,
            number=number,
            name=(name := wire_name(type(command))),
            body=msgspec.Raw(encode(command)),
            correlation_id=cause.correlation_id,
            causation_id=cause.causation_id,
            traceparent=cause.traceparent,
            return_id=(return_id := getattr(command, "return_id", None)),
            given_id=command_id(saga_stream(order_id), name, return_id, version),
        )
        for number, command in enumerate(commands, start=1)
    )


def order_of(issued_id: str) -> OrderId:
    """The order a command is about, by its id."""
    return issued_id.removeprefix(saga_stream("")).partition(":")[0]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(IssuedCommand).decode
