"""`python -m contexts`: waits for NATS, ends in one line when it cannot go on, stops when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.servers import free_port, nats_server
from tests.conftest import Server
from tests.deadlines import HOLDS_SECONDS
from tests.postgres_server import postgres_server


@contextmanager
def contexts(folder: Path, nats_url: str, *names: str, store: str = "") -> Iterator[subprocess.Popen[str]]:
    """The process, with its stores under `folder` unless they are named."""
    environment = {
        **os.environ,
        "ORDERFOLD_NATS_URL": nats_url,
        "ORDERFOLD_STORE": store or f"sqlite:{folder}",
        "ORDERFOLD_LOG_FORMAT": "json",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "contexts", *names],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said_until(process: subprocess.Popen[str], text: str) -> None:
    """Read its log until a line has the text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text!r}")


async def test_it_waits_for_nats_and_stops_when_told_to(tmp_path: Path) -> None:
    port = free_port()
    with contexts(tmp_path, f"nats://127.0.0.1:{port}", "catalog") as process:
        said_until(process, "contexts wait")
        server = nats_server(tmp_path / "nats", port, free_port())
        server.start()
        try:
            said_until(process, "context serves")
            process.send_signal(signal.SIGTERM)
            assert process.wait(HOLDS_SECONDS) == 0
        finally:
            server.kill()


async def test_it_waits_for_postgresql(tmp_path: Path, nats: Server) -> None:
    port = free_port()
    store = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    with contexts(tmp_path, nats.url, "catalog", store=store) as process:
        said_until(process, "context waits")
        with postgres_server(port):
            said_until(process, "context serves")
            process.send_signal(signal.SIGTERM)
            assert process.wait(HOLDS_SECONDS) == 0


async def test_it_stops_also_while_it_waits_for_postgresql(tmp_path: Path, nats: Server) -> None:
    store = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
    with contexts(tmp_path, nats.url, "catalog", store=store) as process:
        said_until(process, "context waits")
        process.send_signal(signal.SIGTERM)
        assert process.wait(HOLDS_SECONDS) == 0


async def test_it_stops_also_while_it_waits(tmp_path: Path) -> None:
    with contexts(tmp_path, f"nats://127.0.0.1:{free_port()}", "catalog") as process:
        said_until(process, "contexts wait")
        process.send_signal(signal.SIGTERM)
        assert process.wait(HOLDS_SECONDS) == 0


async def test_a_context_there_is_not_is_one_line(tmp_path: Path) -> None:
    with contexts(tmp_path, "nats://127.0.0.1:1", "marketing") as process:
        said, _ = process.communicate(timeout=HOLDS_SECONDS)
        assert process.returncode == 2
        (line,) = said.splitlines()
        assert line.startswith("contexts: 'marketing' is no context; there are catalog, customers,")


async def test_a_store_in_use_is_one_line(tmp_path: Path, nats: Server) -> None:
    with contexts(tmp_path, nats.url, "catalog") as first:
        said_until(first, "context serves")
        with contexts(tmp_path, nats.url, "catalog") as second:
            said, _ = second.communicate(timeout=HOLDS_SECONDS)
            assert second.returncode == 2
            assert "Traceback" not in said
            assert sum("in use" in line for line in said.splitlines()) == 1


async def test_a_killed_process_leaves_nothing_in_the_way_of_the_next(tmp_path: Path, nats: Server) -> None:
    with contexts(tmp_path, nats.url, "catalog") as first:
        said_until(first, "context serves")
    with contexts(tmp_path, nats.url, "catalog") as second:
        said_until(second, "context serves")
