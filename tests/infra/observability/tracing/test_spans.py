"""Spans in one process: none while tracing is off, events that are too old, what is passed on."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from infra.messages.events import Metadata, Recorded
from infra.observability import tracing
from infra.observability.tracing import OFF
from infra.settings import Settings
from tests.infra.observability.tracing.collector import Collector
from tests.support.shop import eventually

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def placed(version: int, age: timedelta, traceparent: str = PARENT) -> Recorded:
    """An order's event of some age."""
    metadata = Metadata(
        time=datetime.now(UTC) - age,
        causation_id="cause",
        correlation_id="correlation",
        actor="tester",
        traceparent=traceparent,
    )
    return Recorded(version, "order-42", version, "ordering.OrderPlaced", b"{}", metadata, 0)


@pytest.mark.parametrize(
    ("programs", "library"),
    [
        ("contexts.__main__, read_models.__main__, contexts.payments.service", "opentelemetry"),
        # What passes on a client's trace context is its API alone.
        ("gateway.__main__", "opentelemetry.sdk"),
    ],
)
def test_while_tracing_is_off_opentelemetry_is_not_even_imported(programs: str, library: str) -> None:
    program = f"import sys, {programs}\nsys.exit(any(name.startswith({library!r}) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_while_tracing_is_off_all_spans_are_the_same_and_do_nothing() -> None:
    headers = [{"traceparent": PARENT}]
    assert tracing.receiving("GET", "/v1/orders", PARENT) is OFF
    assert tracing.publishing("ordering", [placed(1, timedelta(0))], headers) is OFF
    assert headers == [{"traceparent": PARENT}]
    with tracing.loading("ordering", "order-42", shared=False) as span:
        assert tracing.current_span() is span is OFF
        assert tracing.current_trace_id() == ""


async def test_the_current_trace_is_known_also_where_it_is_not_recorded(collector: Collector) -> None:
    with tracing.exporting("test", Settings(otlp_endpoint=collector.url, trace_sampling=0)):
        with tracing.receiving("GET", "/v1/orders", "") as span:
            assert not span.recorded
            assert tracing.current_trace_id() == span.trace_id != ""
        assert tracing.current_trace_id() == ""
    assert collector.spans == []


async def test_a_span_keeps_the_state_of_the_trace_it_continues(collector: Collector) -> None:
    with (
        tracing.exporting("test", Settings(otlp_endpoint=collector.url)),
        tracing.receiving("GET", "/v1/orders", PARENT, "vendor=opaque,other=1"),
    ):
        pass
    await eventually(lambda: names(collector), bool, "a span")
    (span,) = collector.spans
    assert (span.parent_span_id.hex(), span.trace_state) == (PARENT[36:52], "vendor=opaque,other=1")


async def test_readers_continue_from_a_publication_but_not_from_that_of_an_old_event(
    collector: Collector,
) -> None:
    """A refill of JetStream publishes years of events: their traces are over."""
    events = [placed(1, timedelta(hours=2)), placed(2, timedelta(0)), placed(3, timedelta(0), traceparent="")]
    headers = [{"traceparent": PARENT}, {"traceparent": PARENT}, {}]
    with (
        tracing.exporting("test", Settings(otlp_endpoint=collector.url)),
        tracing.publishing("ordering", events, headers),
    ):
        pass
    await eventually(lambda: names(collector), bool, "a span")
    (span,) = collector.spans
    assert headers[0] == {"traceparent": PARENT}
    assert headers[1]["traceparent"][:52] == f"00-{PARENT[3:35]}-{span.span_id.hex()}"
    assert headers[2] == {}


async def test_what_fails_is_marked_by_its_kind_and_says_nothing_personal(collector: Collector) -> None:
    settings = Settings(otlp_endpoint=collector.url)
    with tracing.exporting("test", settings), pytest.raises(LookupError, match="Ada Byron"):
        look_up_in_vain()
    await eventually(lambda: names(collector), {"GET", "load customers"}.issubset, "both")
    (failed,) = [span for span in collector.spans if span.name == "GET"]
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert "LookupError" in str(failed)
    assert "Byron" not in str(failed)


async def test_the_last_spans_of_a_process_are_sent_when_it_stops(collector: Collector) -> None:
    with tracing.exporting("test", Settings(otlp_endpoint=collector.url)):
        for number in range(1_000):
            tracing.receiving("GET", f"/{number}", "").end()
    await eventually(lambda: names(collector), bool, "spans")
    await eventually(lambda: count(collector), lambda it: it == 1_000, "all")


def look_up_in_vain() -> None:
    with tracing.receiving("GET", "/v1/customers/ada", ""):
        with tracing.loading("customers", "customer-ada", shared=False) as load:
            assert load.recorded
        raise LookupError("Ada Byron is not here")


async def names(collector: Collector) -> set[str]:
    return {span.name for span in collector.spans}


async def count(collector: Collector) -> int:
    return len(collector.spans)
