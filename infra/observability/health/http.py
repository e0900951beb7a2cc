"""A process's port for /metrics, /health/live and /health/ready, answered also while its event loop hangs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from threading import Thread
from typing import Any, ClassVar, TypeVar

import msgspec
import structlog

from infra.observability.health.monitor import LOOK_SECONDS, Monitor
from infra.observability.health.readiness import Check, Life, Readiness
from infra.observability.metrics.gauges import LOOP_SECONDS, Sample
from infra.settings import Settings
from infra.sockets import PortTaken, bind

LIVE_SECONDS = 5.0
"""An event loop that does not answer for so long hangs."""
CONNECTION_SECONDS = 10.0
"""How long somebody who connected may take to ask."""
TEXT = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Hanging(Exception):
    """The event loop does not answer."""


@contextlib.asynccontextmanager
async def served(monitor: Monitor, settings: Settings) -> AsyncIterator[None]:
    """Serve the monitor where the settings say, nowhere if the port is 0; raises PortTaken."""
    if not settings.metrics_port:
        yield
        return
    server = _Server(settings.metrics_host, settings.metrics_port, _Asked(monitor))
    log.info("metrics are served", host=settings.metrics_host, port=settings.metrics_port)
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop)


class _Asked:
    """Brings questions from the server's threads to the event loop."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._loop = asyncio.get_running_loop()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        match path:
            case "/metrics":
                return 200, TEXT, self._metrics()
            case "/health/live":
                live = self._seconds() < LIVE_SECONDS
                return 200 if live else 503, JSON, msgspec.json.encode(Life(live))
            case "/health/ready":
                found = self._readiness()
                return 200 if found.ready else 503, JSON, msgspec.json.encode(found)
            case _:
                return 404, JSON, b'{"paths":["/metrics","/health/live","/health/ready"]}'

    def _metrics(self) -> bytes:
        seconds = self._seconds()
        samples = [Sample(LOOP_SECONDS, (), seconds)]
        if seconds < LIVE_SECONDS:
            with contextlib.suppress(Hanging):
                samples += self._ask(self._monitor.samples(), LOOK_SECONDS + 1)
        return self._monitor.exposition(samples)

    def _readiness(self) -> Readiness:
        try:
            return self._ask(self._monitor.readiness(), LOOK_SECONDS + 1)
        except Hanging as error:
            return Readiness(ready=False, checks={"process": Check(ok=False, problem=str(error))})

    def _seconds(self) -> float:
        """How long the loop takes to answer; LIVE_SECONDS if it does not."""
        begun = time.monotonic()
        try:
            self._ask(asyncio.sleep(0), LIVE_SECONDS)
        except Hanging:
            return LIVE_SECONDS
        return time.monotonic() - begun

    def _ask(self, question: Coroutine[Any, Any, T], seconds: float) -> T:
        try:
            asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        except RuntimeError as error:
            question.close()
            raise Hanging("the event loop has ended") from error
        try:
            return asked.result(seconds)
        except (TimeoutError, concurrent.futures.CancelledError) as error:
            asked.cancel()
            raise Hanging(f"the event loop did not answer within {seconds:g} s") from error


class _Server:
    """A listening port and the thread that answers there."""

    def __init__(self, host: str, port: int, asked: _Asked) -> None:
        try:
            bind(port, host)
            self._server = _listener(host)((host, port), _handler(asked))
        except OSError as error:
            raise PortTaken(
                f"cannot serve metrics on {host}:{port} ({error.strerror}); choose another with "
                f"ORDERFOLD_METRICS_PORT"
            ) from error
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _listener(host: str) -> type[ThreadingHTTPServer]:
    class Listener(ThreadingHTTPServer):
        # Questions under way need the event loop, which may have ended.
        daemon_threads = True
        block_on_close = False

    if ":" in host:
        Listener.address_family = AF_INET6
    return Listener


def _handler(asked: _Asked) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float] = CONNECTION_SECONDS
        server_version = "orderfold"
        sys_version = ""

        def do_GET(self) -> None:
            status, kind, body = asked.answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: it is asked every few seconds."""

    return Handler
