"""Commands that a process manager has asked for, as its store keeps them until they are settled."""

from __future__ import annotations

import msgspec

OUTBOX = "outbox"
"""Notes by command id: commands that are not settled yet."""

FAILED = "failed"
"""Notes by command id: commands that failed, for an operator to have them sent again."""


class OutboxMessage(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A command, byte for byte as it is sent however often it is sent.

    It is the n-th command of its instance's event at `version`. `name` is its wire name; `about` tells it
    from other commands of its type.
    """

    key: str
    version: int
    number: int
    command_id: str
    name: str
    body: msgspec.Raw
    correlation_id: str
    causation_id: str
    traceparent: str
    about: str | None = None

    @property
    def context(self) -> str:
        """The context that carries it out."""
        return self.name.partition(".")[0]

    @property
    def step(self) -> str:
        """Its identity among the commands of its instance: `<wire name>[:<about>]`."""
        return identity(self.name, self.about)

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the commands of its instance."""
        return self.version, self.number


class Cause(msgspec.Struct, frozen=True):
    """What a process manager answers with commands: `causation_id` is an event's or a command's."""

    causation_id: str
    correlation_id: str
    traceparent: str


def identity(name: str, about: str | None) -> str:
    """What a command is and what it is about."""
    return name if about is None else f"{name}:{about}"


encode = msgspec.json.Encoder().encode
