"""A client decides whether its trace is recorded, and everybody keeps to that.

At first there is none: all works as ever, and each process says once that nobody takes its spans.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.infra.observability.tracing.collector import Collector, collecting
from tests.infra.observability.tracing.stack import order, tracing_shop
from tests.support.shop import eventually

EARLY, LATE = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
UNSAMPLED = f"00-{'1' * 32}-{PARENT}-00"
FROM_ALL_PROCESSES = {"POST /v1/orders", "publish ordering.OrderConfirmed", "project orders"}


class Evening(msgspec.Struct, frozen=True):
    """What there was in the end."""

    collector: Collector
    logs: Mapping[str, list[dict[str, str]]]
    """What each process said of its traces."""
    answers: Mapping[str, Mapping[str, str]]
    """The headers that each order was answered with."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evening(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Evening]:
    """Sampling is 0. One recorded order without a collector; with it two that are not, and one that is."""
    folder: Path = tmp_path_factory.mktemp("sampling") / "data"
    port = free_port()
    answers = {}
    async with AsyncExitStack() as later:
        async with tracing_shop(folder, f"http://127.0.0.1:{port}", sampling=0) as (shop, stack):

            async def place(order_id: str, traceparent: str = "") -> None:
                given = {"traceparent": traceparent} if traceparent else {}
                answers[order_id] = dict((await shop.post("/v1/orders", order(order_id), **given)).headers)
                await shop.order_becomes(order_id, "confirmed")

            async def said() -> set[str]:
                return {name for name, lines in told(stack).items() if lines}

            await place("unseen", f"00-{EARLY}-{PARENT}-01")
            await eventually(said, {"contexts", "read-models", "gateway"}.__eq__, "warnings")
            collector = await later.enter_async_context(collecting(port))
            await place("quiet")
            await place("private", UNSAMPLED)
            await place("followed", f"00-{LATE}-{PARENT}-01")

            async def names() -> set[str]:
                return set(collector.trace(LATE).names)

            await eventually(names, FROM_ALL_PROCESSES.issubset, "the trace")
        yield Evening(collector, told(stack), answers)


def told(stack: EmbeddedStack) -> dict[str, list[dict[str, str]]]:
    return {
        name: [
            msgspec.json.decode(line)
            for line in stack.folder.log(name).read_bytes().splitlines()
            if b"trace export" in line
        ]
        for name in ("contexts", "read-models", "gateway")
    }


def test_what_is_not_sampled_where_it_begins_is_recorded_nowhere(evening: Evening) -> None:
    """The few spans of other traces are batches, and linked with sampled events only."""
    theirs = {EARLY, LATE}
    for span in evening.collector.spans:
        if span.trace_id.hex() not in theirs:
            assert span.name.endswith("(batch)") or span.name.startswith("commit ")
            assert {link.trace_id.hex() for link in span.links} <= theirs


def test_a_clients_own_trace_goes_on_here(evening: Evening) -> None:
    trace = evening.collector.trace(LATE)
    (request,) = [span for span in trace.spans if span.name == "POST /v1/orders"]
    assert request.parent_span_id.hex() == PARENT
    assert trace.orphans == [request.name]
    assert evening.answers["followed"]["x-correlation-id"] == LATE


def test_a_client_is_told_whether_its_trace_is_recorded(evening: Evening) -> None:
    given = {name: headers["traceresponse"] for name, headers in evening.answers.items()}
    assert given["private"] == UNSAMPLED
    assert int(given["quiet"][-2:], 16) & 1 == 0
    assert given["followed"].startswith(f"00-{LATE}-")
    assert int(given["followed"][-2:], 16) & 1 == 1


def test_a_collector_that_is_away_is_told_of_once_by_each_process(evening: Evening) -> None:
    """And once that it is there again, with what was lost meanwhile."""
    for name, lines in evening.logs.items():
        assert [line["level"] for line in lines if line["event"] == "trace export failed"] == ["warning"], (
            name
        )
        assert lines[0]["reason"]
        assert {line["event"] for line in lines[1:]} <= {"trace export restored"}
