"""`python -m contexts`: waits for NATS, ends in one line when it cannot go on, stops when it is told to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nats.aio.client import Client

from infra.embedded.servers import nats_server
from infra.event_log.relay import Relay
from infra.event_store.store import EventStore
from infra.sockets import free_port
from tests.conftest import Server
from tests.infra.event_log.ordering_log import OrderingLog, published_up_to, running
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.postgres_server import postgres_server


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
        assert line.startswith("contexts: unknown context 'marketing'; choose one of catalog, customers,")


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


async def test_a_store_behind_what_it_has_published_never_serves_a_command(
    tmp_path: Path, nats: Server, connection: Client
) -> None:
    """It says in one line what to do, and not a single command is accepted before."""
    file = tmp_path / "ordering.db"
    store = await EventStore.open("ordering", f"sqlite:{file}")
    log = OrderingLog(store)
    await log.add(3)
    with contextlib.closing(sqlite3.connect(file)) as reading:
        reading.execute("VACUUM INTO ?", (str(tmp_path / "older.db"),))
    async with running(Relay(connection, store).run()):
        await published_up_to(connection, await log.add(2))
    await store.close()
    (tmp_path / "older.db").replace(file)
    with contexts(tmp_path, nats.url, "ordering") as process:
        said, _ = process.communicate(timeout=HOLDS_SECONDS)
    assert process.returncode == 2
    assert "context serves" not in said
    assert "Traceback" not in said
    last = json.loads(said.splitlines()[-1])["event"]
    assert last == (
        "the stream EV_ordering has events up to position 5, but the store of ordering ends at 3, restored "
        "from an older backup: stop everything and run `orderfold restore check`"
    )


async def test_a_store_that_went_on_after_a_restore_is_not_taken_for_the_one_that_was_published(
    tmp_path: Path, nats: Server, connection: Client
) -> None:
    """It has as many events again, with the same ids: their contents tell them apart."""
    published = await EventStore.open("ordering", f"sqlite:{tmp_path / 'published.db'}")
    async with running(Relay(connection, published).run()):
        await published_up_to(connection, await OrderingLog(published).add(3))
    await published.close()
    other = await EventStore.open("ordering", f"sqlite:{tmp_path / 'ordering.db'}")
    await OrderingLog(other).add(3, pad=1)
    await other.close()
    with contexts(tmp_path, nats.url, "ordering") as process:
        said, _ = process.communicate(timeout=HOLDS_SECONDS)
    assert (process.returncode, "context serves" in said) == (2, False)
    assert "differ at position 3" in said.splitlines()[-1]


async def test_a_store_exchanged_under_the_process_ends_it_within_seconds(
    tmp_path: Path, nats: Server
) -> None:
    file = tmp_path / "catalog.db"
    with contexts(tmp_path, nats.url, "catalog") as process:
        said_until(process, "context serves")
        with contextlib.closing(sqlite3.connect(file)) as reading:
            reading.execute("VACUUM INTO ?", (str(tmp_path / "older.db"),))
        (tmp_path / "older.db").replace(file)
        said_until(process, "was exchanged or removed while it was in use")
        assert process.wait(HOLDS_SECONDS) == 2


async def test_a_store_that_is_shorter_than_it_was_is_noticed_also_without_a_stream(
    tmp_path: Path, nats: Server
) -> None:
    (tmp_path / "ordering.db.head").write_text("5\n")
    with contexts(tmp_path, nats.url, "ordering") as process:
        said, _ = process.communicate(timeout=HOLDS_SECONDS)
    assert (process.returncode, "context serves" in said) == (2, False)
    assert "had events up to position 5 and ends at 0" in said.splitlines()[-1]


async def test_the_sagas_store_may_be_lost_as_it_is_made_again_from_facts(
    tmp_path: Path, nats: Server
) -> None:
    (tmp_path / "fulfilment.db.head").write_text("5\n")
    with contexts(tmp_path, nats.url, "fulfilment") as process:
        said_until(process, "context serves")
