"""One order's trace, from the HTTP request to the last document, through every process in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.infra.observability.tracing.collector import Collector, Trace, collecting
from tests.infra.observability.tracing.stack import order, tracing_shop
from tests.support.shop import Shop, eventually

REQUEST = ("POST /v1/orders", "send ordering.PlaceOrder", "handle ordering.PlaceOrder")
PLACED = (*REQUEST, "publish ordering.OrderPlaced", "hear ordering.OrderPlaced")
RESERVED = (
    *PLACED,
    "send inventory.ReserveStock",
    "handle inventory.ReserveStock",
    "publish inventory.StockReserved",
    "hear inventory.StockReserved",
)
PAYING = (*RESERVED, "send payments.AuthorizePayment", "handle payments.AuthorizePayment")
PAID = (*PAYING, "publish payments.PaymentAuthorized", "hear payments.PaymentAuthorized")
CONFIRMED = (
    *PAID,
    "send ordering.ConfirmOrder",
    "handle ordering.ConfirmOrder",
    "publish ordering.OrderConfirmed",
)
PARCEL = (
    *PAID,
    "send shipping.CreateShipment",
    "handle shipping.CreateShipment",
    "publish shipping.ShipmentCreated",
)
HOPS = {
    (*REQUEST, "append ordering"),
    (*PLACED[:-1], "project orders"),
    (*CONFIRMED, "project sales"),
    (*PLACED, "publish fulfilment.StepTaken", "project fulfilments"),
    (*RESERVED[:-2], "append inventory"),
    (*RESERVED[:-2], "publish inventory.StockAllocated", "project stock"),
    (*PAYING, "call provider authorize"),
    (*PAYING, "append payments"),
    (*PAID[:-1], "project orders"),
    (*CONFIRMED, "hear ordering.OrderConfirmed"),
    (*CONFIRMED, "project orders"),
    (*PARCEL, "project shipments"),
}
"""What an order that is placed sets off, each as the path that leads there from the request."""

BATCHES = (
    "commit ordering",
    "publish ordering (batch)",
    "project orders (batch)",
    "hear fulfilment-inbox (batch)",
)


class Recording(msgspec.Struct, frozen=True):
    """What the collector had in the end."""

    collector: Collector
    one: Trace
    """The trace of an order that was placed while nobody else did anything."""
    delivering: tuple[Trace, Trace]
    """Those of its dispatch and its delivery."""
    headers: dict[str, str]
    """The answer's to the request that placed it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recording(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recording]:
    """An order placed alone and delivered, then many at once; then everything is stopped."""
    folder: Path = tmp_path_factory.mktemp("tracing") / "data"
    async with collecting() as collector:
        async with tracing_shop(folder, collector.url) as (shop, _):
            answer = await shop.post("/v1/orders", order("alone"))
            await shop.order_becomes("alone", "confirmed")
            await shop.stage_becomes("alone", "awaiting-dispatch")
            dispatching = await shop.post(
                "/v1/shipments/alone/dispatch", {"carrier": "Mail", "tracking": "1"}
            )
            # Completed means paid and delivered: what comes last completes the order.
            await eventually(
                lambda: shop.get("/v1/orders/alone"), lambda order: order["payment"]["captured"], "captured"
            )
            traces = [dispatching, await shop.post("/v1/shipments/alone/deliver")]
            await shop.order_becomes("alone", "completed")
            one = trace_id(answer.headers)
            await eventually(
                lambda: asyncio.sleep(0, HOPS - collector.trace(one).paths), lambda it: not it, "hops"
            )
            await place_until_joined(shop, collector)
            # A slow machine kills a process that takes too long to stop, and with it the spans not yet sent.
            await eventually(lambda: under_way(collector), lambda it: not it, "the last hop of every order")
        yield Recording(
            collector,
            collector.trace(one),
            (collector.trace(trace_id(traces[0].headers)), collector.trace(trace_id(traces[1].headers))),
            dict(answer.headers),
        )


async def place_until_joined(shop: Shop, collector: Collector) -> None:
    """Place orders, many at once, until each kind of batch has joined several."""

    async def more(number: int) -> None:
        await asyncio.gather(*(shop.do("/v1/orders", order(f"many-{number}-{it}")) for it in range(24)))

    for number in range(10):
        await more(number)
        if all(any(span.links for span in collector.named(name)) for name in BATCHES):
            return


async def under_way(collector: Collector) -> list[str]:
    """The traces of orders of which a hop has not arrived."""
    spans: dict[bytes, list[Span]] = {}
    for span in collector.spans:
        spans.setdefault(span.trace_id, []).append(span)
    traces = {it.hex(): Trace(its) for it, its in spans.items()}
    return [it for it, trace in traces.items() if REQUEST[0] in trace.names and HOPS - trace.paths]


def trace_id(headers: object) -> str:
    return dict(headers)["traceresponse"].split("-")[1]  # type: ignore[call-overload, no-any-return]


def attributes(span: Span) -> dict[str, str]:
    return {it.key: it.value.string_value for it in span.attributes}


def test_an_order_is_one_tree_with_every_hop(recording: Recording) -> None:
    """From the request through the store, JetStream and the saga's commands to confirmation and documents."""
    trace = recording.one
    assert not HOPS - trace.paths
    assert [span.name for span in trace.roots] == ["POST /v1/orders"]
    assert trace.orphans == []


def test_each_hop_happens_once(recording: Recording) -> None:
    names = recording.one.names
    for name in {path[-1] for path in HOPS} | set(CONFIRMED):
        if not name.startswith(("project ", "append ", "publish fulfilment.")):
            assert names[name] == 1, name


def test_the_spans_come_from_the_processes_that_did_the_work(recording: Recording) -> None:
    services = recording.collector.services
    found = {span.name: services[span.span_id] for span in recording.one.spans}
    assert found["POST /v1/orders"] == found["send ordering.PlaceOrder"] == "gateway"
    assert found["handle ordering.PlaceOrder"] == found["call provider authorize"] == "contexts"
    assert found["project orders"] == "read-models"


def test_spans_speak_opentelemetrys_conventions(recording: Recording) -> None:
    spans = {span.name: (span.kind, attributes(span)) for span in recording.one.spans}
    kind, request = spans["POST /v1/orders"]
    assert kind == Span.SpanKind.SPAN_KIND_SERVER
    assert request["http.route"] == request["url.path"] == "/v1/orders"
    kind, published = spans["publish ordering.OrderPlaced"]
    assert kind == Span.SpanKind.SPAN_KIND_PRODUCER
    assert published["messaging.system"] == "nats"
    assert published["messaging.destination.name"] == "EV_ordering"
    assert published["messaging.message.id"] == "order-alone@1"
    kind, heard = spans["hear ordering.OrderPlaced"]
    assert kind == Span.SpanKind.SPAN_KIND_CONSUMER
    assert heard["messaging.consumer.group.name"] == "fulfilment-inbox"
    kind, append = spans["append ordering"]
    assert kind == Span.SpanKind.SPAN_KIND_CLIENT
    assert append["db.system.name"] == "sqlite"


def test_the_client_is_told_the_trace(recording: Recording) -> None:
    """The correlation id, which every log line has, is the trace's too unless the client chose one."""
    span = recording.one.roots[0]
    headers = recording.headers
    assert headers["traceresponse"].startswith(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-")
    assert headers["x-correlation-id"] == span.trace_id.hex()


def test_dispatch_and_delivery_have_traces_of_their_own_with_what_they_set_off(recording: Recording) -> None:
    dispatch, delivery = recording.delivering
    assert {"hear shipping.ShipmentDispatched", "send payments.CapturePayment"} <= set(dispatch.names)
    assert "call provider capture" in dispatch.names
    assert {"hear shipping.ShipmentDelivered", "handle ordering.CompleteOrder"} <= set(delivery.names)
    for trace in (dispatch, delivery):
        assert len(trace.roots) == 1
        assert trace.orphans == []


@pytest.mark.parametrize("name", BATCHES)
def test_what_joins_several_is_linked_with_each_of_them(recording: Recording, name: str) -> None:
    """The batch has a trace of its own; its parts stay in theirs, and point to it."""
    spans = {span.span_id: span for span in recording.collector.spans}
    joined = [span for span in recording.collector.named(name) if span.links]
    assert joined
    for batch in joined:
        assert not batch.parent_span_id
        assert len(batch.links) > 1
        for link in batch.links:
            part = spans[link.span_id]
            assert part.trace_id == link.trace_id != batch.trace_id
            assert batch.span_id in {back.span_id for back in part.links}


def test_no_trace_of_all_has_an_orphan(recording: Recording) -> None:
    traces = {span.trace_id.hex() for span in recording.collector.spans}
    assert {it: recording.collector.trace(it).orphans for it in traces} == {it: [] for it in traces}
