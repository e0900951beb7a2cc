"""Logs by OTLP: what goes to stdout reaches a real receiver, too, and no process waits for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from infra.observability.logging.otlp import LogSender
from infra.sockets import free_port
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

PROGRAM = f"""
import structlog
from infra.observability.logging.setup import configure_logging, last_word
import sys
configure_logging("contexts", endpoint=sys.argv[1])
log = structlog.get_logger()
log.info("command", service="ordering", trace_id="{TRACE}", order_id="42")
log.info("context serves")
log.error("event parked", service="ordering")
last_word("contexts", "the store is in use")
"""


class Received:
    """What a collector took, as (service, severity, trace, line)."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.records: list[tuple[str, int, str, dict[str, Any]]] = []

    def take(self, body: bytes) -> None:
        for sent in ExportLogsServiceRequest.FromString(body).resource_logs:
            (service,) = [
                it.value.string_value for it in sent.resource.attributes if it.key == "service.name"
            ]
            for record in sent.scope_logs[0].log_records:
                line = json.loads(record.body.string_value)
                self.records.append((service, record.severity_number, record.trace_id.hex(), line))

    def wait_for(self, count: int) -> None:
        end = time.monotonic() + HOLDS_SECONDS
        while len(self.records) < count:
            assert time.monotonic() < end, self.records
            time.sleep(0.01)


class Collector:
    """oteltap, which receives, and beside it what it passes the records on to with their resources."""

    def __init__(self, received: Received) -> None:
        handler = type("Handler", (Beside,), {"received": received})
        self._beside = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._beside.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self._beside.server_port}/v1/logs"
        self._receiver = OtelTapHttpProtobufReceiver(
            OtelTapHttpProtobufReceiverSettings(http_port=received.port, reemit_logs_to_url=url)
        )

    async def start(self) -> None:
        await self._receiver.start()

    async def stop(self) -> None:
        await self._receiver.stop()
        await asyncio.to_thread(self._beside.shutdown)
        self._beside.server_close()


class Beside(BaseHTTPRequestHandler):
    received: Received

    def do_POST(self) -> None:
        self.received.take(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest_asyncio.fixture
async def received() -> AsyncIterator[Received]:
    received = Received()
    collector = Collector(received)
    await collector.start()
    yield received
    await collector.stop()


async def test_lines_reach_the_collector_by_their_services_the_last_word_included(received: Received) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM, received.url],
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in said] == [
        "command",
        "context serves",
        "event parked",
        "the store is in use",
    ]
    await asyncio.to_thread(received.wait_for, 4)
    assert sorted((service, severity) for service, severity, *_ in received.records) == [
        ("contexts", 9),
        ("contexts", 21),
        ("ordering", 9),
        ("ordering", 17),
    ]
    assert {line["event"]: trace for _, _, trace, line in received.records if trace} == {"command": TRACE}
    assert sorted(str(line) for *_, line in received.records) == sorted(map(str, said))


async def test_a_collector_that_is_away_holds_nobody_up_and_gets_the_lines_later() -> None:
    received, complaints = Received(), []
    sender = LogSender(received.url, lambda problem, lost: complaints.append((problem, lost)))
    sender.start()
    for number in range(5):
        sender.take(b'{"time":"2026-03-01T14:03:00Z","level":"info","service":"x","event":"%d"}\n' % number)
    end = time.monotonic() + HOLDS_SECONDS
    while not complaints:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    collector = Collector(received)
    await collector.start()
    await asyncio.to_thread(received.wait_for, 5)
    await asyncio.to_thread(sender.stop)
    await collector.stop()
    assert [line["event"] for *_, line in received.records] == list("01234")
    assert complaints == [("ConnectionRefusedError", 0)]


def test_what_waits_is_bounded_and_what_is_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.observability.logging.otlp.MOST_WAITING", 3)
    complaints: list[int] = []
    sender = LogSender(f"http://127.0.0.1:{free_port()}", lambda _, lost: complaints.append(lost))
    for number in range(5):
        sender.take(b'{"time":"2026-03-01T14:03:00Z","level":"info","service":"x","event":"%d"}\n' % number)
    sender.start()
    sender.stop()
    assert complaints == [2]
