"""A collector that is away, hangs or comes late: the service does not notice, and says so once."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from infra.observability.tracing import exporting, otlp, receiving, sdk
from infra.settings import Settings
from infra.sockets import free_port
from tests.infra.observability.tracing.collector import collecting
from tests.support.shop import eventually


@pytest.fixture
def deaf() -> Iterator[str]:
    """Somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def spans(count: int, first: int = 0) -> None:
    """Finish many spans at once."""
    for number in range(first, first + count):
        receiving("GET", f"/{number}", "").end()


async def test_what_waits_for_a_collector_is_bounded_and_the_newest_is_kept() -> None:
    """Far more spans than may wait are made while nobody takes them; then the collector comes."""
    port = free_port()
    with capture_logs() as said, exporting("test", Settings(otlp_endpoint=f"http://127.0.0.1:{port}")):
        spans(4 * sdk.WAITING_AT_MOST)

        async def words() -> list[str]:
            return [str(it["event"]) for it in said]

        await eventually(words, lambda it: "trace export failed" in it, "a warning")
        spans(2 * sdk.WAITING_AT_MOST, first=1_000_000)
        async with collecting(port) as collector:
            await eventually(words, lambda it: "trace export restored" in it, "the collector is found")

            async def received() -> set[str]:
                return {it.value.string_value for span in collector.spans for it in span.attributes}

            last = f"/{1_000_000 + 2 * sdk.WAITING_AT_MOST - 1}"
            await eventually(received, lambda paths: last in paths, "the newest")
            assert len(collector.spans) <= sdk.WAITING_AT_MOST + sdk.BATCH
    assert (await words()).count("trace export failed") == 1


def test_a_collector_that_hangs_does_not_hold_up_the_end(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever waited for its answer would not come to an end.
    monkeypatch.setattr(otlp, "SECONDS", 3_600.0)
    with capture_logs(), exporting("test", Settings(otlp_endpoint=deaf)):
        spans(10_000)
