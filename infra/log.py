"""Logs: one JSON object a line where a machine reads them, readable lines on a terminal.

A process of the platform logs to stdout, as whoever collects logs expects; a command logs to stderr, so that
its stdout stays free for results. Nothing that names a person and no secret belongs into a log: exceptions
are told by `infra.error_text`, and log calls name ids, kinds and counts, never a body.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
from collections.abc import Coroutine, MutableMapping
from types import TracebackType
from typing import Any, TextIO, TypeVar, cast

import msgspec
import structlog

from infra.error_text import described, traced
from infra.records import Metadata
from infra.tracing.spans import current_trace_id

Fields = MutableMapping[str, Any]
T = TypeVar("T")

FIRST = ("time", "level", "service", "event", "trace_id", "correlation_id", "order_id")
"""The agreed fields, in their order; those that are not known are left out, except the first four."""

TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
PASSWORD_IN_URL = re.compile(rb"(://[^\s/@:\"]*):[^\s/@\"]*@|(\bpassword=)[^\s&\"]*")

process_log = structlog.get_logger("process")
"""What is about the process as a whole."""


def configure_logging(
    service: str, *, level: str = "info", json: bool | None = None, out: TextIO | None = None
) -> None:
    """Set up logging for one process, by default to stdout; `json` None means: unless it is a terminal."""
    stream = sys.stdout if out is None else out
    as_json = not stream.isatty() if json is None else json
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _Service(service),
            add_trace,
            add_exception,
            render_json if as_json else _console(stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(stream.buffer)
        if as_json
        else structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    take_over(max(number, logging.WARNING))


def _console(stream: TextIO) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")


class _Service:
    """Names the service of a line that nothing nearer has named: a process may run several."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _: Any, __: str, fields: Fields) -> Fields:
        fields.setdefault("service", self._service)
        return fields


def add_trace(_: Any, __: str, fields: Fields) -> Fields:
    """The trace a line belongs to: the span under way, else the one that came with the message."""
    trace_id = current_trace_id()
    if trace_id:
        fields["trace_id"] = trace_id
    return fields


def add_exception(_: Any, __: str, fields: Fields) -> Fields:
    """Tell the exception that came with a line, without what it may quote."""
    given = fields.pop("exc_info", None)
    error = sys.exception() if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        fields["exception"] = traced(error)
    return fields


def render_json(_: Any, __: str, fields: Fields) -> bytes:
    """One line: the agreed fields first."""
    ordered: dict[str, Any] = {}
    for name in FIRST:
        value = fields.pop(name, None)
        if value:
            ordered[name] = value
    ordered |= fields
    line = msgspec.json.encode(ordered, enc_hook=_unknown)
    return PASSWORD_IN_URL.sub(_without_password, line) if b"://" in line else line


def _without_password(found: re.Match[bytes]) -> bytes:
    return found[1] + b":***@" if found[1] else found[2] + b"***"


def _unknown(value: Any) -> str:
    """A value JSON has no form for; its own words may quote anything."""
    return described(value) if isinstance(value, BaseException) else f"<{type(value).__name__}>"


def trace_of(traceparent: str) -> str | None:
    """The trace a `traceparent` names; None if it names none."""
    found = TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else None


class OrderConcerned(msgspec.Struct):
    """What a message says about the order it belongs to."""

    order_id: str | None = None


def order_of(data: bytes) -> str | None:
    """The order an encoded message is about; None if it is about none, or cannot be read."""
    try:
        return msgspec.json.decode(data, type=OrderConcerned).order_id
    except msgspec.DecodeError:
        return None


def belonging(data: bytes, metadata: Metadata) -> dict[str, str | None]:
    """What a stored event is part of, for a line about it."""
    return {
        "trace_id": trace_of(metadata.traceparent),
        "correlation_id": metadata.correlation_id,
        "order_id": order_of(data),
    }


class _Forwarded(logging.Handler):
    """Takes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        process_log.log(record.levelno, text, logger=record.name, exc_info=record.exc_info)


def take_over(level: int) -> None:
    """Have everything else that speaks up in this process come as lines of this log, too.

    Libraries are heard from warnings on, also at level debug: their debugging shows bodies and headers.
    """
    logging.basicConfig(level=level, handlers=[_Forwarded()], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    process_log.critical("process failed", exc_info=error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread else ""
    process_log.critical("thread failed", thread=name, exc_info=args.exc_value)


def _unraisable(args: Any) -> None:
    process_log.error("exception ignored", exc_info=args.exc_value)


def _uncaught_in_loop(_: asyncio.AbstractEventLoop, circumstances: dict[str, Any]) -> None:
    # Not the tasks and futures themselves: how they are shown includes their results.
    process_log.error(
        "exception nobody awaited", problem=circumstances["message"], exc_info=circumstances.get("exception")
    )


async def logged(work: Coroutine[Any, Any, T]) -> T:
    """Do the work of a process; exceptions that nobody awaits are logged like everything else."""
    asyncio.get_running_loop().set_exception_handler(_uncaught_in_loop)
    return await work


def last_word(service: str, message: str) -> None:
    """Say why the process ends: a line of the log, and for whoever sits at a terminal a plain one."""
    if not structlog.is_configured() or sys.stderr.isatty():
        sys.stderr.write(f"{service}: {message}\n")
    else:
        cast("Any", process_log).critical(message)
