"""Sends spans to an OpenTelemetry collector; when that does not take them, the service does not notice."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

SECONDS = 3.0
"""How long one batch is tried to be sent; it is lost then."""

log = structlog.get_logger(__name__)


class LastWords(logging.Handler):
    """Keeps what the library said last: it says the same again for every batch."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class LenientExporter(SpanExporter):
    """Says once that the collector takes nothing, and once that it takes spans again."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = f"{endpoint.rstrip('/')}/v1/traces"
        self._words = LastWords()
        library = logging.getLogger("opentelemetry")
        library.addHandler(self._words)
        library.propagate = False
        # Below, it tells of every try and of every span that is dropped.
        library.setLevel(logging.ERROR)
        self._exporter = OTLPSpanExporter(self._endpoint, timeout=SECONDS)
        self._lost = 0
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; runs on the SDK's own thread."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.info("trace export restored", endpoint=self._endpoint, spans_lost=self._lost)
                self._lost = 0
        else:
            if not self._lost:
                log.warning("trace export failed", endpoint=self._endpoint, reason=self._words.text)
            self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        """Give up the try that is under way, if one is."""
        if not self._ended:
            self._ended = True
            self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)
