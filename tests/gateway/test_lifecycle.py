"""The gateway waits for what it needs, and lets requests finish before it goes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from infra.embedded.servers import listening, nats_server
from infra.sockets import free_port
from tests.gateway.conftest import ROOT, Contexts, Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS

ORDER = {"customer_id": "c-1", "lines": [{"sku": "MUG", "quantity": 2}], "payment_method": "tok_approve"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_under_way_finishes_and_new_ones_are_refused(
    new_gateway: Callable[..., Gateway], contexts: Contexts, issuer: Issuer, number: int
) -> None:
    gateway = new_gateway()
    gateway.start()
    contexts.hold = asyncio.Event()
    headers = {"Authorization": f"Bearer {issuer.token(scope='orders:write')}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, verify=False, timeout=HOLDS_SECONDS
    ) as client:
        # A second connection that is open already when the gateway begins to stop.
        await client.get("/health/live")
        under_way = asyncio.create_task(client.post("/v1/orders", json=ORDER))
        await contexts.wait_for(1)
        os.kill(gateway.process.pid, number)
        gateway.wait_for_log("gateway stops")
        assert_problem(await client.post("/v1/orders", json=ORDER), 503, "unavailable")
        assert gateway.process.running
        contexts.hold.set()
        assert (await under_way).status_code == 201
        # The client still holds its connections: they keep nobody from stopping.
        assert await ended(gateway) == 0
    assert not listening(gateway.port)
    assert len(contexts.received) == 1


async def ended(gateway: Gateway) -> int | None:
    """Its exit status, once it has stopped."""
    async with asyncio.timeout(HOLDS_SECONDS):
        while gateway.process.running:
            await asyncio.sleep(0.01)
    return gateway.process.exit_code


def test_a_taken_port_is_one_clear_line_and_status_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(ORDERFOLD_PORT=str(port))
    assert result.returncode == 2
    (line,) = map(json.loads, result.stdout.splitlines())
    assert line["event"].startswith(f"port {port} is taken")
    assert "ORDERFOLD_PORT" in line["event"]
    assert (line["level"], line["service"]) == ("critical", "gateway")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ORDERFOLD_COLOUR", "red"),
        ("ORDERFOLD_MONGO_URL", "postgres://elsewhere"),
        ("ORDERFOLD_HOST", "192.0.2.1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_clear_line_and_status_2(setting: str, value: str) -> None:
    result = run(**{"ORDERFOLD_PORT": str(free_port()), setting: value})
    assert result.returncode == 2
    said = result.stdout + result.stderr
    assert len(said.strip().splitlines()) == 1, said
    assert "Traceback" not in said


def run(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway"],
        env={"PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


async def test_it_waits_for_nats_and_says_so_meanwhile(
    new_gateway: Callable[..., Gateway], issuer: Issuer, tmp_path: Path
) -> None:
    port = free_port()
    gateway = new_gateway(ORDERFOLD_NATS_URL=f"nats://127.0.0.1:{port}")
    gateway.process.start()
    headers = {"Authorization": f"Bearer {issuer.token(scope='orders:write')}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, verify=False, timeout=HOLDS_SECONDS
    ) as client:
        gateway.wait_for_log("token keys loaded")
        assert_problem(await client.post("/v1/orders", json=ORDER), 503, "unavailable")
        answer = await client.get("/health/ready", timeout=HOLDS_SECONDS)
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        assert answer.json()["checks"]["nats"]["ok"] is False
        assert answer.json()["checks"]["mongodb"]["ok"] is False
        assert answer.json()["checks"]["keys"]["ok"] is True
        assert (await client.get("/health/live")).json() == {"live": True}
        assert (await client.get("/health/serving")).status_code == 503
        server = nats_server(tmp_path / "late-nats", port, free_port())
        server.start()
        try:
            await asyncio.to_thread(gateway.wait_for_log, "nats connected")
            async with asyncio.timeout(HOLDS_SECONDS):
                checks = answer.json()["checks"]
                while not checks["nats"]["ok"]:
                    checks = (await client.get("/health/ready", timeout=HOLDS_SECONDS)).json()["checks"]
            # What no gateway has is no reason to ask another one.
            assert checks["context:ordering"]["ok"] is False
            assert checks["mongodb"]["ok"] is False
            serving = await client.get("/health/serving")
            assert serving.status_code == 200
            assert serving.json()["serving"] is True
            assert serving.json()["checks"].keys() == {"nats", "keys"}
        finally:
            server.kill()


async def test_nobody_answering_a_command_is_a_problem(gateway: Gateway, http: httpx.AsyncClient) -> None:
    headers = {"Consistency-Token": "ordering:1.1", "Prefer": "wait=1"}
    async with asyncio.timeout(HOLDS_SECONDS):
        assert_problem(await http.post("/v1/orders", json=ORDER, headers=headers), 503, "unavailable")


async def test_keys_that_cannot_be_read_are_a_problem_and_not_a_refusal(
    new_gateway: Callable[..., Gateway], issuer: Issuer
) -> None:
    gateway = new_gateway(ORDERFOLD_JWKS="/nowhere/jwks.json")
    gateway.process.start()
    headers = {"Authorization": f"Bearer {issuer.token(scope='orders:write')}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, verify=False, timeout=HOLDS_SECONDS
    ) as client:
        assert_problem(await client.post("/v1/orders", json=ORDER), 503, "unavailable")


async def test_requests_are_counted_by_route_and_not_by_path(
    gateway: Gateway, http: httpx.AsyncClient, contexts: Contexts
) -> None:
    for number in range(3):
        await http.post(f"/v1/orders/o-{number}/cancel", json={"reason": "late"})
        await http.get(f"/v1/nowhere/{number}")
    exposed = (await http.get("/metrics")).text
    counted = (
        'orderfold_http_requests_total{method="POST",route="/v1/orders/{order_id}/cancel",status="200"} 3.0'
    )
    assert counted in exposed
    assert 'orderfold_http_requests_total{method="GET",route="unmatched",status="404"} 3.0' in exposed
    assert 'orderfold_http_request_seconds_bucket{le="0.005",method="POST"' in exposed
    assert "orderfold_http_requests_in_flight 1.0" in exposed, "this one itself"
    assert "o-1" not in exposed


async def test_a_second_signal_ends_it_at_once(
    new_gateway: Callable[..., Gateway], contexts: Contexts, issuer: Issuer
) -> None:
    gateway = new_gateway()
    gateway.start()
    contexts.hold = asyncio.Event()
    headers = {
        "Authorization": f"Bearer {issuer.token(scope='orders:write')}",
        "Prefer": "wait=30",
    }
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, timeout=HOLDS_SECONDS, verify=False
    ) as client:
        under_way = asyncio.create_task(client.post("/v1/orders", json=ORDER))
        await contexts.wait_for(1)
        os.kill(gateway.process.pid, signal.SIGTERM)
        gateway.wait_for_log("gateway stops")
        os.kill(gateway.process.pid, signal.SIGTERM)
        async with asyncio.timeout(HOLDS_SECONDS):
            await ended(gateway)
        assert_problem(await under_way, 503, "unavailable")
