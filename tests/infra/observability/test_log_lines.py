"""What a process writes into its log, whoever speaks in it: JSON objects, without what errors quote."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from typing import Any

import msgspec
import pytest
import structlog

from contexts.customers.personal_data import PersonalData
from infra.mongo import MongoUnavailable
from infra.observability.logging.redaction import described, traced
from infra.observability.logging.setup import configure_logging, trace_of
from tests.support.deadlines import COMMAND_SECONDS

ADA = "ada.byron@example.org"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines(program: str, *, level: str = "info", fails: bool = False) -> list[dict[str, Any]]:
    """What a process writes to stdout that runs a program after having set up its log."""
    start = (
        "import asyncio, gc, logging, sys, threading, warnings, structlog\n"
        "from infra.observability.logging.setup import configure_logging, last_word, logged\n"
        f"configure_logging('ordering', level='{level}')\n"
        "log = structlog.get_logger()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + program],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert (done.returncode != 0) == fails, done
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_line_begins_with_the_agreed_fields_in_their_order() -> None:
    (line,) = lines(
        "structlog.contextvars.bind_contextvars(order_id='42', correlation_id='c-1', trace_id=None)\n"
        "log.warning('relay waits', reason='no answer', path=__import__('pathlib').Path('/x'))"
    )
    assert list(line) == ["time", "level", "service", "event", "correlation_id", "order_id", "reason", "path"]
    assert line["time"].endswith("Z")
    assert (line["level"], line["service"], line["order_id"]) == ("warning", "ordering", "42")
    assert line["path"] == "<PosixPath>", "what JSON has no form for is not shown in its own words"


def test_lines_below_the_level_are_not_written() -> None:
    assert [line["event"] for line in lines("log.info('a'); log.warning('b')", level="warning")] == ["b"]


def test_libraries_and_warnings_speak_in_lines_of_the_log_but_never_debug() -> None:
    program = (
        "logging.getLogger('pymongo.command').debug('insert %s', {'name': 'Ada'})\n"
        "logging.getLogger('httpx').info('GET http://x/?email=a@b')\n"
        "logging.getLogger('nats').error('slow %s', 'consumer')\n"
        "warnings.warn('odd', UserWarning, stacklevel=1)\n"
    )
    found = lines(program, level="debug")
    assert [(line["level"], line["logger"]) for line in found] == [
        ("error", "nats"),
        ("warning", "py.warnings"),
    ]
    assert found[0]["event"] == "slow consumer"


def test_an_uncaught_exception_is_a_line_that_says_where_but_not_what_about() -> None:
    (line,) = lines(f"def work():\n    int('{ADA}')\nwork()", fails=True)
    assert (line["level"], line["event"]) == ("critical", "process failed")
    assert "in work" in line["exception"]
    assert line["exception"].endswith("ValueError")
    assert ADA not in str(line)


def test_exceptions_nobody_awaits_and_those_of_threads_are_lines() -> None:
    program = (
        "async def fails():\n"
        f"    raise KeyError('{ADA}')\n"
        "async def work():\n"
        "    task = asyncio.ensure_future(fails())\n"
        "    await asyncio.sleep(0.01)\n"
        "    del task\n"
        "    gc.collect()\n"
        "    asyncio.get_running_loop().call_soon(lambda: 1 / 0)\n"
        "    await asyncio.sleep(0.01)\n"
        "asyncio.run(logged(work()))\n"
        f"thread = threading.Thread(target=lambda: int('{ADA}'), name='writer')\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    found = lines(program)
    assert [line["event"] for line in found] == [
        "unhandled exception in a task",
        "unhandled exception in a task",
        "thread failed",
    ]
    assert [line["exception"].rpartition("\n")[2] for line in found] == [
        "KeyError",
        "ZeroDivisionError",
        "ValueError",
    ]
    assert ADA not in str(found)


def test_the_last_word_of_a_process_is_a_line() -> None:
    (line,) = lines("last_word('contexts', 'the store is in use'); sys.exit(2)", fails=True)
    assert (line["level"], line["event"]) == ("critical", "the store is in use")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("nats://svc:hunter2@nats:4222", "nats://svc:***@nats:4222"),
        ("postgresql://o@db/x?a=b&password=hunter2&c=d", "postgresql://o@db/x?a=b&password=***&c=d"),
        ("mongodb://mongo:27017/?replicaSet=rs0", "mongodb://mongo:27017/?replicaSet=rs0"),
    ],
)
def test_passwords_in_addresses_are_not_written(address: str, shown: str) -> None:
    (line,) = lines(f"log.error('cannot connect', server='{address}')")
    assert line["server"] == shown


def test_an_error_of_ours_is_told_in_its_words_and_one_that_quotes_only_by_its_kind() -> None:
    assert described(MongoUnavailable("MongoDB: no answer")) == "MongoUnavailable: MongoDB: no answer"
    assert described(ConnectionRefusedError(111, "Connection refused")) == (
        "ConnectionRefusedError: [Errno 111] Connection refused"
    )
    with pytest.raises(msgspec.ValidationError) as unknown:
        msgspec.json.decode(b'{"name": "Ada", "%s": 1}' % ADA.encode(), type=PersonalData)
    assert ADA in str(unknown.value), "the library quotes what it was sent"
    assert described(unknown.value) == "ValidationError"


def test_causes_and_groups_are_told_without_what_they_quote() -> None:
    def fails() -> None:
        try:
            {"name": "Ada"}[ADA]
        except KeyError as error:
            raise ExceptionGroup(ADA, [ValueError(ADA), MongoUnavailable("no answer")]) from error

    with pytest.raises(ExceptionGroup) as raised:
        fails()
    told = traced(raised.value)
    kinds = [line for line in told.splitlines() if not line.startswith("  ")]
    assert kinds == [
        "KeyError",
        "which led to",
        "ExceptionGroup",
        "among them",
        "ValueError",
        "among them",
        "MongoUnavailable: no answer",
    ]
    assert ADA not in told


def test_a_traceparent_names_its_trace() -> None:
    assert trace_of(f"00-{TRACE}-00f067aa0ba902b7-01") == TRACE
    assert trace_of("nonsense") is None


def test_a_terminal_gets_lines_for_people() -> None:
    leader, follower = pty.openpty()
    program = (
        "import structlog\n"
        "from infra.observability.logging.setup import configure_logging\n"
        "configure_logging('ordering')\n"
        "structlog.get_logger().info('context serves', context='ordering')"
    )
    subprocess.run([sys.executable, "-c", program], stdout=follower, timeout=COMMAND_SECONDS, check=True)
    os.close(follower)
    said = os.read(leader, 10_000).decode()
    os.close(leader)
    assert "context serves" in said
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(said)


def test_a_command_logs_beside_its_results() -> None:
    written = io.BytesIO()
    out = io.TextIOWrapper(written)
    try:
        configure_logging("replay", out=out)
        structlog.get_logger().warning("stands by")
    finally:
        structlog.reset_defaults()
    assert json.loads(written.getvalue())["event"] == "stands by"
