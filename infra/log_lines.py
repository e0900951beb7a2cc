"""Where log lines go: written together at the end of each round of the event loop, trouble at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import BinaryIO


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

    def info(self, line: bytes) -> None:
        """Write a line soon."""
        self._out.write(line)
        if self._also is not None:
            self._also(line)
        if self._waiting:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._out.flush()
            return
        self._waiting = True
        loop.call_soon(self._flush)

    def error(self, line: bytes) -> None:
        """Write a line, and all before it, now."""
        self._out.write(line)
        self._out.flush()
        if self._also is not None:
            self._also(line)

    debug = info
    warning = critical = error

    def _flush(self) -> None:
        self._waiting = False
        self._out.flush()


class LinesFactory:
    """Gives every module's logger the same lines."""

    def __init__(self, out: BinaryIO, also: Callable[[bytes], None] | None = None) -> None:
        self._lines = Lines(out, also)

    def __call__(self, *_: object) -> Lines:
        return self._lines
