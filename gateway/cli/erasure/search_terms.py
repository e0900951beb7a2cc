"""What is looked for: texts, a line each, from a file or from standard input."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from gateway.cli.erasure.encodings import SHORTEST, Pattern, patterns
from gateway.cli.errors import CommandFailed

MOST_TEXTS = 100
MOST_BYTES = 1_000_000
STANDARD_INPUT = "-"


class Texts(msgspec.Struct, frozen=True):
    """How many there are, and the bytes to look for; `file` is where they were read from."""

    count: int = 0
    wanted: tuple[Pattern, ...] = ()
    file: tuple[int, int] | None = None
    """By device and inode: it may lie where is searched, and is left out."""


def read_texts(path: Path | None) -> Texts:
    """Read them; raises CommandFailed unless there is something to look for, without quoting it."""
    if path is None:
        return Texts()
    lines = [line.strip() for line in _content(path).splitlines()]
    found = [(number, line) for number, line in enumerate(lines, start=1) if line]
    if not 0 < len(found) <= MOST_TEXTS:
        raise CommandFailed(f"--text {path} has {len(found):,} texts; 1 to {MOST_TEXTS:,} can be looked for")
    for number, line in found:
        if len(line.encode()) < SHORTEST:
            raise CommandFailed(
                f"--text {path}: line {number} has under {SHORTEST} bytes and would be found by chance"
            )
    status = None if str(path) == STANDARD_INPUT else path.stat()
    return Texts(
        len(found),
        tuple(pattern for number, line in found for pattern in patterns(line, number)),
        None if status is None else (status.st_dev, status.st_ino),
    )


def _content(path: Path) -> str:
    try:
        if str(path) == STANDARD_INPUT:
            if sys.stdin.isatty():
                sys.stderr.write("what to look for, a line each; Ctrl-D ends it\n")
            octets = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with path.open("rb") as file:
                octets = file.read(MOST_BYTES + 1)
        if len(octets) > MOST_BYTES:
            raise CommandFailed(f"--text {path} is larger than {MOST_BYTES:,} bytes")
        return octets.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise CommandFailed(f"--text {path} cannot be read: {reason}") from None
    except UnicodeDecodeError:
        raise CommandFailed(f"--text {path} is not UTF-8") from None
