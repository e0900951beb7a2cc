"""Spans as OpenTelemetry's SDK makes, samples and batches them; with `otlp`, all that ever imports it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision as SamplingDecision
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanKind,
    Status,
    StatusCode,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as RecordedSpan
from opentelemetry.util.types import Attributes as SdkAttributes

from infra.observability.tracing import w3c
from infra.observability.tracing.otlp import LenientExporter
from infra.observability.tracing.spans import Attributes, Kind, Span, Traced, Unsampled, Value

WAITING_AT_MOST = 4_096
"""Spans that wait to be sent; beyond, the oldest are dropped: some 10 MB."""
BATCH = 512
DELAY_MILLISECONDS = 1_000.0
STOP_SECONDS = 2.0

KINDS = {kind: SpanKind[kind.name] for kind in Kind}


class Recorded(Traced):
    """A span that is recorded and sent."""

    __slots__ = ("_span",)

    recorded = True

    def __init__(self, span: RecordedSpan) -> None:
        super().__init__(w3c.written(span.get_span_context()).traceparent)
        self._span = span

    def note(self, name: str, value: Value) -> None:
        self._span.set_attribute(name, value)

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def link(self, other: Span) -> None:
        self._span.add_link(w3c.read(other.traceparent))

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self._span.end()


class NewTraces(Sampler):
    """Samples a share of the new traces; those that link to others are there because these are sampled."""

    def __init__(self, share: float) -> None:
        self._by_chance = TraceIdRatioBased(share)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: SdkAttributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if links:
            return SamplingResult(SamplingDecision.RECORD_AND_SAMPLE, attributes)
        return self._by_chance.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return f"NewTraces{{{self._by_chance.get_description()}}}"


class SdkTracer:
    """Makes the spans of one process and sends them by OTLP."""

    def __init__(self, service: str, endpoint: str, share: float) -> None:
        """`share` of the new traces are sampled, from 0 to 1."""
        self._exporter = LenientExporter(endpoint)
        self._provider = TracerProvider(
            sampler=ParentBased(NewTraces(share)),
            resource=Resource.create(
                {
                    "service.name": service,
                    "service.namespace": "orderfold",
                    "service.instance.id": str(uuid.uuid4()),
                }
            ),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=WAITING_AT_MOST,
                schedule_delay_millis=DELAY_MILLISECONDS,
                max_export_batch_size=BATCH,
            )
        )
        self._tracer = self._provider.get_tracer("orderfold")

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: str,
        attributes: Attributes,
        links: Sequence[str] = (),
        *,
        tracestate: str = "",
    ) -> Traced:
        within = Context()
        if parent:
            within = set_span_in_context(NonRecordingSpan(w3c.read(parent, tracestate)), within)
        span = self._tracer.start_span(
            name,
            context=within,
            kind=KINDS[kind],
            attributes=attributes,
            links=[Link(w3c.read(link)) for link in links] or None,
        )
        if span.is_recording():
            return Recorded(span)
        return Unsampled(w3c.written(span.get_span_context()).traceparent)

    def stop(self) -> None:
        # The SDK's own shutdown waits for half a minute, and for every try to reach the collector.
        stopping = threading.Thread(target=self._provider.shutdown, name="traces-stop", daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)
        if stopping.is_alive():
            self._exporter.shutdown()
