"""Logs: one JSON object a line where a machine reads them, readable lines on a terminal.

A process of the platform logs to stdout, as whoever collects logs expects; a command logs to stderr, so that
its stdout stays free for results. Nothing that names a person and no secret belongs into a log: exceptions
are told by `infra.observability.logging.redaction`, and log calls name ids, kinds and counts, never a body.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TextIO, TypeVar, cast

import msgspec
import structlog

from infra.messages.events import Metadata
from infra.observability.logging.lines import LinesFactory, Readable
from infra.observability.logging.rendering import Completed, as_json

T = TypeVar("T")

TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

process_log = structlog.get_logger("process")
"""What is about the process as a whole."""


def configure_logging(
    service: str,
    *,
    level: str = "info",
    json: bool | None = None,
    out: TextIO | None = None,
    endpoint: str = "",
) -> None:
    """Set up logging for one process, by default to stdout; `json` None means: unless it is a terminal.

    JSON lines are also sent by OTLP to the collector at `endpoint`, if one is given.
    """
    stream = sys.stdout if out is None else out
    wants_json = not stream.isatty() if json is None else json
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            Completed(service),
            as_json
            if wants_json
            else structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time"),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=LinesFactory(stream.buffer, _sending(endpoint))
        if wants_json
        else structlog.PrintLoggerFactory(cast("TextIO", Readable(stream))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    take_over(max(number, logging.WARNING))


def _sending(endpoint: str) -> Callable[[bytes], None] | None:
    if not endpoint:
        return None
    # Here, so that a process that sends no logs has nothing of it in memory.
    from infra.observability.logging.otlp import LogSender  # noqa: PLC0415

    def complain(problem: str, lost: int) -> None:
        process_log.warning("log export failed", endpoint=endpoint, problem=problem, lost=lost)

    sender = LogSender(endpoint, complain)
    sender.start()
    return sender.take


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
        "unhandled exception in a task",
        problem=circumstances["message"],
        exc_info=circumstances.get("exception"),
    )


async def logged(work: Coroutine[Any, Any, T]) -> T:
    """Do the work of a process; exceptions that nobody awaits are logged like everything else."""
    asyncio.get_running_loop().set_exception_handler(_uncaught_in_loop)
    return await work


def last_word(service: str, message: str) -> None:
    """Say why the process ends: a line of the log, and for whoever sits at a terminal a plain one."""
    if not structlog.is_configured() or sys.stderr.isatty():
        readable = Readable(sys.stderr)
        readable.write(f"{service}: {message}\n")
        readable.flush()
    else:
        cast("Any", process_log).critical(message)
