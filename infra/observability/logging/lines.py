"""Where log lines go: written together at the end of each round of the event loop, trouble at once.

A line that cannot be written, since the disk is full or the pipe has no reader, is lost; it ends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO, TextIO

import msgspec


class Lines:
    """A structlog logger that is given finished lines.

    A write for every line costs a busy process as much as the line itself. What waits for the end of a round
    is microseconds old: it is lost only if the process is killed within them.
    """

    def __init__(self, out: BinaryIO, also: Callable[[bytes], None] | None = None) -> None:
        """`also` is given every line, too."""
        self._out = out
        self._also = also
        self._waiting = False
        self._lost = 0
        self._problem = ""

    def info(self, line: bytes) -> None:
        """Write a line soon."""
        self._write(line)
        if self._waiting:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._flush()
            return
        self._waiting = True
        loop.call_soon(self._flush)

    def error(self, line: bytes) -> None:
        """Write a line, and all before it, now."""
        self._write(line)
        self._flush()

    debug = info
    warning = critical = error

    def _write(self, line: bytes) -> None:
        if self._also is not None:
            self._also(line)
        try:
            self._out.write(line)
        except OSError as error:
            # There is no room behind what could not be flushed before.
            self._lost += 1
            self._problem = error.strerror or type(error).__name__

    def _flush(self) -> None:
        self._waiting = False
        try:
            self._out.flush()
            if self._lost:
                self._out.write(self._told_lost())
                self._lost = 0
                self._out.flush()
        except OSError as error:
            # What is in the buffer is tried again with the next line.
            self._problem = error.strerror or type(error).__name__

    def _told_lost(self) -> bytes:
        fields = {
            "event": "log lines were lost",
            "level": "warning",
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "lost": self._lost,
            "problem": self._problem,
        }
        return msgspec.json.encode(fields) + b"\n"


class Readable:
    """A text stream for lines that people read; what cannot be written is lost."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write a text; raises nothing."""
        try:
            return self._out.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Write what waits; raises nothing."""
        try:
            self._out.flush()
        except OSError:
            return


class LinesFactory:
    """Gives every module's logger the same lines."""

    def __init__(self, out: BinaryIO, also: Callable[[bytes], None] | None = None) -> None:
        self._lines = Lines(out, also)

    def __call__(self, *_: object) -> Lines:
        return self._lines
