"""Exceptions in words that may be written into a log: what they say only where it cannot quote a person."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

OURS = ("infra", "contexts", "gateway", "read_models")
"""Packages whose exceptions are worded by us: they name ids and rules, never what a customer is called."""

PLAIN = (OSError, NotImplementedError, RecursionError, MemoryError)
"""Exceptions of the language whose texts come from the operating system or the interpreter."""

PLAIN_PACKAGES = ("asyncio", "concurrent", "nats", "httpx", "httpcore", "granian")
"""Libraries whose exceptions speak of connections; a driver's or a decoder's may quote what it was given."""

DEEPEST = 8
"""Causes of causes, and members of groups, that are told."""


def described(error: BaseException) -> str:
    """An exception in one line: its kind, and its text if that cannot hold what somebody sent us."""
    kind = type(error)
    package = kind.__module__.partition(".")[0]
    quotable = package in OURS or package in PLAIN_PACKAGES or isinstance(error, PLAIN)
    text = " ".join(str(error).split()) if quotable else ""
    return f"{kind.__qualname__}: {text}" if text else kind.__qualname__


def traced(error: BaseException) -> str:
    """An exception with its causes: where each was raised, never with the values it was raised over."""
    return "\n".join(_lines(error, 0))


def _lines(error: BaseException, depth: int) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth < DEEPEST:
        yield from _lines(cause, depth + 1)
        yield "which led to"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
    yield described(error)
    if isinstance(error, BaseExceptionGroup) and depth < DEEPEST:
        for member in error.exceptions[:DEEPEST]:
            yield "among them"
            yield from _lines(member, depth + 1)
