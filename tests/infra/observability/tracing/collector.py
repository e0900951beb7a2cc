"""A collector of traces: oteltap receives OTLP, and passes it on for what its own spans leave out."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from infra.sockets import free_port


class Services(BaseHTTPRequestHandler):
    """Notes which service each span came from: oteltap gives out spans without their resource."""

    known: dict[bytes, str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = [it.value.string_value for it in sent.resource.attributes if it.key == "service.name"]
            for part in sent.scope_spans:
                self.known.update((span.span_id, names[0]) for span in part.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Trace:
    """The spans of one trace."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = list(spans)
        self._by_id = {span.span_id: span for span in self.spans}

    @property
    def names(self) -> Counter[str]:
        """How many spans of each name there are."""
        return Counter(span.name for span in self.spans)

    @property
    def roots(self) -> list[Span]:
        """Those without a parent."""
        return [span for span in self.spans if not span.parent_span_id]

    @property
    def orphans(self) -> list[str]:
        """Those whose parent is nowhere."""
        return [it.name for it in self.spans if it.parent_span_id and it.parent_span_id not in self._by_id]

    def path(self, span: Span) -> tuple[str, ...]:
        """The names from the root to a span."""
        parent = self._by_id.get(span.parent_span_id)
        return (*(self.path(parent) if parent is not None else ()), span.name)

    @property
    def paths(self) -> set[tuple[str, ...]]:
        """Every path from the root to a span."""
        return {self.path(span) for span in self.spans}


class Collector:
    """What was received so far."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[Span] = []
        self.services: dict[bytes, str] = {}

    def trace(self, trace_id: str) -> Trace:
        """One trace."""
        return Trace(span for span in self.spans if span.trace_id.hex() == trace_id)

    def named(self, name: str) -> list[Span]:
        """The spans of a name, of all traces."""
        return [span for span in self.spans if span.name == name]


@contextlib.asynccontextmanager
async def collecting(port: int = 0) -> AsyncIterator[Collector]:
    """A collector at work."""
    collector = Collector(port or free_port())
    handler = type("Handler", (Services,), {"known": collector.services})
    beside = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=beside.serve_forever, daemon=True).start()
    settings = OtelTapHttpProtobufReceiverSettings(
        http_port=collector.port, reemit_traces_to_url=f"http://127.0.0.1:{beside.server_port}/v1/traces"
    )
    async with OtelTapHttpProtobufReceiver(settings) as receiver:

        async def receive() -> None:
            async for span in receiver.stream_traces():
                collector.spans.append(span)

        receiving = asyncio.create_task(receive())
        try:
            yield collector
        finally:
            receiving.cancel()
            beside.shutdown()
            beside.server_close()
