"""A process's own port: what it says while all is well, while something is missing, and while it hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
import pytest_asyncio

from infra.nats.connection import NatsUnavailable
from infra.observability.health import http as monitor_http
from infra.observability.health.http import served
from infra.observability.health.monitor import Monitor
from infra.observability.metrics.gauges import STORE_HEAD, Sample
from infra.settings import Settings
from infra.sockets import PortTaken, free_port
from tests.support.deadlines import HOLDS_SECONDS


@pytest.fixture
def monitor() -> Monitor:
    return Monitor()


@pytest.fixture
def settings() -> Settings:
    return Settings(metrics_port=free_port())


@pytest_asyncio.fixture
async def http(monitor: Monitor, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the monitor's port."""
    url = f"http://127.0.0.1:{settings.metrics_port}"
    async with served(monitor, settings), httpx.AsyncClient(base_url=url, timeout=HOLDS_SECONDS) as client:
        yield client


async def test_a_process_that_gets_on_is_live_and_with_all_it_needs_ready(
    monitor: Monitor, http: httpx.AsyncClient
) -> None:
    async def there() -> None:
        """Nothing is wrong."""

    monitor.require("nats", there)
    live, ready = await http.get("/health/live"), await http.get("/health/ready")
    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (
        200,
        {"ready": True, "checks": {"nats": {"ok": True, "problem": None}}},
    )


async def test_what_is_missing_is_named_and_the_process_is_live_nevertheless(
    monitor: Monitor, http: httpx.AsyncClient
) -> None:
    async def away() -> None:
        raise NatsUnavailable("no connection")

    monitor.require("nats", away)
    answer = await http.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "checks": {"nats": {"ok": False, "problem": "no connection"}},
    }
    assert (await http.get("/health/live")).status_code == 200


async def test_what_does_not_answer_in_time_is_missing(
    monitor: Monitor, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.observability.health.monitor.LOOK_SECONDS", 0.05)

    async def never() -> None:
        await asyncio.Event().wait()

    async def never_known() -> list[Sample]:
        await never()
        return []

    monitor.require("store", never)
    monitor.look(never_known)
    answer = await http.get("/health/ready")
    assert (answer.status_code, "no answer" in answer.json()["checks"]["store"]["problem"]) == (503, True)
    assert (await http.get("/metrics")).status_code == 200


async def test_a_process_that_hangs_is_not_live_and_says_so_in_its_metrics(
    monitor: Monitor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked from another thread, while the event loop is kept from everything."""
    monkeypatch.setattr(monitor_http, "LIVE_SECONDS", 0.2)
    url = f"http://127.0.0.1:{settings.metrics_port}"
    answers: dict[str, httpx.Response] = {}
    asked = threading.Event()

    def ask() -> None:
        for path in ("/health/live", "/health/ready", "/metrics"):
            answers[path] = httpx.get(url + path, timeout=HOLDS_SECONDS)
        asked.set()

    async with served(monitor, settings):
        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(HOLDS_SECONDS)
        thread.join()
    assert (answers["/health/live"].status_code, answers["/health/live"].json()) == (503, {"live": False})
    assert answers["/health/ready"].status_code == 503
    assert answers["/metrics"].status_code == 200
    assert "orderfold_event_loop_seconds 0.2" in answers["/metrics"].text


async def test_figures_are_looked_up_when_asked_for_and_left_away_when_unknown(
    monitor: Monitor, http: httpx.AsyncClient
) -> None:
    heads = [7.0, 9.0]

    async def head() -> list[Sample]:
        return [Sample(STORE_HEAD, ("ordering",), heads.pop(0))]

    monitor.look(head)
    line = 'orderfold_store_head{context="ordering"}'
    assert f"{line} 7.0" in (await http.get("/metrics")).text
    assert f"{line} 9.0" in (await http.get("/metrics")).text
    unknown = await http.get("/metrics")
    assert (unknown.status_code, line in unknown.text) == (200, False)


async def test_there_is_nothing_else_to_ask(http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    assert answer.status_code == 404
    assert msgspec.json.decode(answer.content)["paths"] == ["/metrics", "/health/live", "/health/ready"]


@pytest.mark.usefixtures("http")
async def test_a_taken_port_is_told_of_with_the_setting_to_change(settings: Settings) -> None:
    with pytest.raises(PortTaken, match="ORDERFOLD_METRICS_PORT"):
        async with served(Monitor(), settings):
            pass


async def test_without_a_port_nothing_is_served() -> None:
    before = threading.active_count()
    async with served(Monitor(), Settings()):
        assert threading.active_count() == before
