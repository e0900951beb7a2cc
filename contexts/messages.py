"""What contexts share: the form of a command, an event and a refusal, and the scalars they are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, dataclass_transform

import msgspec
from msgspec import Meta


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """An instruction, named in the imperative; its wire name is `<context>.<Class>`.

    Unknown fields are refused: a sender's misspelling must not silently become a default.
    """


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A fact that is never changed; its wire name is `<context>.<Class>`.

    Wire names and fields are for ever. A new field has a default; unknown fields are ignored, so that an
    older reader survives a newer writer.
    """


class Rejected(Exception):
    """A command refused by a rule; nothing changed, and only the caller cares."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Unknown(Rejected):
    """A command refused because the thing it addresses does not exist."""


def wire_name(message: type[msgspec.Struct]) -> str:
    """The name a message type is stored and sent under, such as `ordering.OrderPlaced`."""
    tag = message.__struct_config__.tag
    if not isinstance(tag, str):
        msg = f"{message.__qualname__} has no wire name"
        raise TypeError(msg)
    return tag


# Every pattern ends in `$(?!\n)`: in Python a bare `$` also matches before a final newline.
Key = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$(?!\n)", description="1 to 64 letters, digits, _ or -"),
]
"""An id that may stand in a stream name and a NATS subject token: no dot, space or wildcard."""

Sku = Key
OrderId = Key
CustomerId = Key
ReturnId = Key

Quantity = Annotated[int, Meta(gt=0, le=1_000_000)]
Amount = Annotated[int, Meta(ge=0, le=10**15, description="money in minor units")]
Price = Annotated[int, Meta(gt=0, le=10**11, description="money in minor units")]
Currency = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{3}$(?!\n)",
        description="ISO 4217 code of a currency that is paid in",
        extra_json_schema={"format": "iso-4217"},
    ),
]
Country = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}$(?!\n)",
        description="ISO 3166-1 alpha-2 code",
        extra_json_schema={"format": "iso-3166-1-alpha-2"},
    ),
]
"""The gateway looks both up by their formats. Events may hold codes that are in no list any more."""
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1, max_length=500)]
Time = Annotated[datetime, Meta(tz=True)]
"""An instant with its offset; naive times are refused on decode."""

MAX_LINES = 2_000
"""Lines of one order: the largest invoice of the Online Retail data set has 1,114."""


class Units(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many units of one SKU."""

    sku: Sku
    quantity: Quantity


UnitLines = Annotated[tuple[Units, ...], Meta(min_length=1, max_length=MAX_LINES)]
"""What reservations, parcels and returns are made of."""
