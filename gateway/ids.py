"""Ids of commands and new things: by time when nothing is given, the same for the same idempotency key."""

from __future__ import annotations

import os
import time
import uuid

COMMANDS = uuid.UUID("0b6c2c7e-6b0e-5d0a-9c43-6f2f2d1f6b11")
"""Namespace of command ids made from idempotency keys; fixed for ever."""

THINGS = uuid.UUID("5f8f4b1c-3c39-5e55-8f4e-0d4b8a3f7c52")
"""Namespace of the ids of things made by such commands; fixed for ever."""


FETCHED = 4_000


class Chance:
    """Random bytes, fetched from the system many at a time: each fetch lets another thread run first."""

    def __init__(self) -> None:
        self._bytes = b""
        self._used = 0

    def take(self, size: int) -> int:
        """So many bytes that were never given out before, as a number."""
        if self._used + size > len(self._bytes):
            self._bytes, self._used = os.urandom(FETCHED), 0
        self._used += size
        return int.from_bytes(self._bytes[self._used - size : self._used])


CHANCE = Chance()


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance."""
    chance = CHANCE.take(10)
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80 | chance) & ~(0xF << 76 | 0x3 << 62) | (0x7 << 76 | 0x2 << 62)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def command_id(subject: str, key: str) -> str:
    """The id of the command a caller means by this idempotency key; two callers' keys never meet."""
    return str(uuid.uuid5(COMMANDS, f"{len(subject)}:{subject}{key}"))


def derived_id(command: str, field: str) -> str:
    """The id of a thing the client left unnamed: the same whenever the same command is sent."""
    return str(uuid.uuid5(THINGS, f"{command}:{field}"))
