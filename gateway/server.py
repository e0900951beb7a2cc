"""Serves the gateway on its port until it is told to stop, and then lets every request under way finish."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Coroutine
from typing import Any

import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from gateway.http.middleware import Front
from gateway.http.tracing import traced
from infra.settings import Settings
from infra.sockets import refuse_taken

FINISH_SECONDS = 10.0
"""How long requests under way may take after the signal to stop."""
CLOSE_SECONDS = 1.0
"""How long closing connections may take after that."""
HEADER_MILLISECONDS = 10_000
"""For all headers of a request, and for the pause before them on a connection that is kept."""
HEADER_BYTES = 65_536
"""Of a request's first line and headers together; there may be 100 of those."""
BACKLOG = 1_024
MOST_CONNECTIONS = 8_192
"""At once; the next one waits until another ends. A silent one costs 3 kB, unfinished headers up to 64."""
OTHER_FILES = 512
"""What else may be open, of the files a process may have."""

log = structlog.get_logger(__name__)


def most_connections() -> int:
    """How many connections there may be at once: as many as there may be open files, which are made more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    if soft < wanted:
        soft = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(MOST_CONNECTIONS, soft - OTHER_FILES))


async def serve(front: Front, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends it at once."""
    refuse_taken(settings.port, settings.host, "ORDERFOLD_PORT")
    server = Server(
        traced(front),
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=HEADER_BYTES),
        websockets=False,
        backlog=BACKLOG,
        # By default as many connections as may wait: a thousand silent ones kept everybody else out.
        backpressure=most_connections(),
        log_enabled=False,
        ssl_cert=settings.gateway_tls_certificate,
        ssl_key=settings.gateway_tls_key,
        ssl_protocol_min=SSLProtocols.tls13,
    )
    stop, hurry = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    serving = asyncio.create_task(server.serve())
    log.info("gateway listens", host=settings.host, port=settings.port)
    await either(serving, stop.wait())
    if not serving.done():
        log.info("gateway stops", under_way=front.under_way)
        await either(asyncio.create_task(front.finish(FINISH_SECONDS)), hurry.wait())
        if front.under_way:
            log.warning("requests aborted at shutdown", under_way=front.under_way)
        server.stop()  # type: ignore[no-untyped-call]
        # The server itself would wait for every request without end.
        await asyncio.wait({serving}, timeout=CLOSE_SECONDS)
    if serving.done():
        await serving


async def either(task: asyncio.Task[None], signalled: Coroutine[Any, Any, Any]) -> None:
    """Return when the task is done or the signal has come; the task goes on."""
    waiting = asyncio.create_task(signalled)
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
