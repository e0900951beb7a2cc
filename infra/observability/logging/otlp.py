"""Sends log lines to an OpenTelemetry collector, beside stdout; when it does not take them, nobody waits."""

from __future__ import annotations

import atexit
import threading
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from http.client import HTTPException
from itertools import groupby
from urllib.error import HTTPError, URLError

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs

EVERY_SECONDS = 1.0
LONGEST_PAUSE = 30.0
SEND_SECONDS = 3.0
LAST_SECONDS = 3.0
"""How long a process that ends waits for its last lines to be taken."""
MOST_WAITING = 20_000
"""Lines kept while the collector does not answer; after that the oldest are left to stdout alone."""
AT_ONCE = 1_000

PASSING = frozenset({429, 502, 503, 504})
"""Statuses after which OTLP has a sender try again."""

SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}


class Line(msgspec.Struct):
    """What a collector is told of a line beside the line."""

    time: datetime
    level: str
    service: str
    trace_id: str = ""


decoder = msgspec.json.Decoder(Line)


class LogSender:
    """Takes lines at once, and sends them in batches from a thread of its own."""

    def __init__(self, endpoint: str, complain: Callable[[str, int], None]) -> None:
        """`complain` is called with why lines are not taken, and how many were lost since, once a while."""
        self._url = f"{endpoint.rstrip('/')}/v1/logs"
        self._complain = complain
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)
        self._batch: list[bytes] = []
        self._lost = 0
        self._failing = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log sender", daemon=True)

    def start(self) -> None:
        """Begin to send; what is left is sent when the process ends."""
        self._thread.start()
        atexit.register(self.stop)

    def take(self, line: bytes) -> None:
        """Have a line sent."""
        if len(self._waiting) == MOST_WAITING:
            self._lost += 1
        self._waiting.append(line)

    def stop(self) -> None:
        """Send what is left, if the collector answers."""
        self._ending.set()
        self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        pause = EVERY_SECONDS
        while not self._ending.wait(pause):
            pause = EVERY_SECONDS if self._send_all() else min(pause * 2, LONGEST_PAUSE)
        self._send_all()

    def _send_all(self) -> bool:
        """Send what waits; False if the collector does not take it, and a batch is kept for later."""
        while self._batch or self._waiting:
            while self._waiting and len(self._batch) < AT_ONCE:
                self._batch.append(self._waiting.popleft())
            problem = self._post(request_of(self._batch))
            if problem is not None:
                if not self._failing:
                    self._failing = True
                    self._complain(problem, self._lost)
                return False
            self._batch.clear()
            self._failing = False
        return True

    def _post(self, body: bytes) -> str | None:
        """Send one batch; why it was not taken. One that never will be is not kept."""
        headers = {"Content-Type": "application/x-protobuf"}
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - whoever starts us names it
        try:
            with urllib.request.urlopen(request, timeout=SEND_SECONDS):  # noqa: S310 - the same
                return None
        except HTTPError as error:
            return f"status {error.code}" if error.code in PASSING else None
        except URLError as error:
            return type(error.reason).__name__
        except (OSError, HTTPException) as error:
            return type(error).__name__


def request_of(lines: Sequence[bytes]) -> bytes:
    """Lines as an OTLP request: the line itself is the record's body."""
    request = ExportLogsServiceRequest()
    known = [(decoder.decode(line), line) for line in lines]
    for service, its in groupby(sorted(known, key=service_of), key=service_of):
        logs: ResourceLogs = request.resource_logs.add()
        named = logs.resource.attributes.add(key="service.name")
        named.value.string_value = service
        records = logs.scope_logs.add().log_records
        for told, line in its:
            record = records.add(
                time_unix_nano=int(told.time.timestamp() * 1_000_000) * 1_000,
                severity_number=SEVERITIES.get(told.level, 0),
                severity_text=told.level,
                trace_id=bytes.fromhex(told.trace_id),
            )
            record.body.string_value = line.rstrip(b"\n").decode()
    body: bytes = request.SerializeToString()
    return body


def service_of(known: tuple[Line, bytes]) -> str:
    """What lines are sorted by; those of one service stay in their order."""
    return known[0].service
