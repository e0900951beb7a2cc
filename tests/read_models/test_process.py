"""`python -m read_models run`: it waits for its servers, stops when asked, and refuses nonsense."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from nats.aio.client import Client

from infra.embedded.mongo import mongo_server
from infra.embedded.servers import Process, listening, nats_server
from infra.event_log.server import LogClient
from infra.mongo import Mongo
from infra.settings import Settings
from infra.sockets import free_port
from read_models.__main__ import parse_partitions
from read_models.monitoring.lag import live_lag
from read_models.projection.documents import ReadModels
from read_models.sales import SALES
from read_models.stock import STOCK
from tests.read_models import examples
from tests.read_models.logs import Logs, caught_up, eventually, projecting, stored
from tests.support.deadlines import HOLDS_SECONDS

ROOT = Path(__file__).parents[2]


def projectors(log: Path, *arguments: str, **settings: str) -> Process:
    """The read models' process."""
    names = {f"ORDERFOLD_{name.upper()}": value for name, value in settings.items()}
    return Process(
        "read-models",
        [sys.executable, "-m", "read_models", *arguments],
        log,
        lambda: True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **names},
    )


async def ended(process: Process) -> int | None:
    """How a process ended."""

    async def over() -> bool:
        return not process.running

    await eventually(over)
    return process.exit_code


async def test_servers_that_are_not_there_yet_are_waited_for(tmp_path: Path) -> None:
    nats_port, mongo_port = free_port(), free_port()
    nats = nats_server(tmp_path / "nats", nats_port, free_port())
    database = mongo_server(tmp_path / "mongo", mongo_port)
    log = tmp_path / "log"
    process = projectors(
        log,
        "run",
        "stock",
        nats_url=f"nats://127.0.0.1:{nats_port}",
        mongo_url=f"mongodb://127.0.0.1:{mongo_port}",
    )
    try:
        process.start()

        async def says(text: str) -> bool:
            return text in log.read_text()

        await eventually(lambda: says("read models wait"))
        assert process.running
        database.start()
        nats.start()
        await eventually(lambda: says("read models run"))
        process.terminate()
        assert await ended(process) == 0
        assert "Traceback" not in log.read_text()
    finally:
        for each in (process, nats, database):
            each.kill()


async def test_it_stops_also_while_it_waits(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = projectors(log, "run", mongo_url=f"mongodb://127.0.0.1:{free_port()}")
    try:
        process.start()

        async def waits() -> bool:
            return "read models wait" in log.read_text()

        await eventually(waits)
        process.terminate()
        assert await ended(process) == 0
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("arguments", "settings", "told"),
    [
        (["run", "orderz"], {}, "unknown read model 'orderz'"),
        (["run", "--partitions", "0-16"], {}, "there are 0 to 15"),
        (["run", "--partitions", "x"], {}, "write them like 0-7,12"),
        (["run"], {"mongo_url": "http://nowhere"}, "ORDERFOLD_MONGO_URL is no MongoDB address"),
        (["run"], {"nats": "x"}, "ORDERFOLD_NATS is no setting"),
    ],
)
async def test_nonsense_ends_it_with_one_line_and_status_2(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], told: str
) -> None:
    process = projectors(tmp_path / "log", *arguments, **settings)
    process.start()
    assert await ended(process) == 2
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert told in line


def test_partitions_are_written_as_numbers_and_ranges() -> None:
    assert parse_partitions("0-3,12") == [0, 1, 2, 3, 12]
    assert parse_partitions("5") == [5]
    for nonsense in ("", "3-1", "-1", "1-", "16"):
        with pytest.raises(ValueError, match="no partitions"):
            parse_partitions(nonsense)


async def test_a_database_that_is_killed_again_and_again_costs_nothing(
    tmp_path: Path, connection: Client, logs: Logs
) -> None:
    port = free_port()
    server = mongo_server(tmp_path / "mongo", port)
    server.start()
    mongo = Mongo(Settings(mongo_url=f"mongodb://127.0.0.1:{port}", mongo_database="faults"))
    try:
        async with projecting(mongo, connection, SALES):
            for begin in (0, 200, 400):
                orders = [str(number) for number in range(begin, begin + 200)]
                await logs.happened(*((f"order-{order}", examples.placed(order)) for order in orders))
                await logs.happened(*((f"order-{order}", examples.confirmed(order)) for order in orders))
                server.kill()
                server.start()
            await caught_up(mongo, logs, SALES)
        assert await stored(mongo, "sales") == await logs.expected(SALES)
        assert sum(day["orders"] for day in await mongo.find("sales", {})) == 600
    finally:
        mongo.close()
        server.kill()
    assert not listening(port)


async def test_lag_is_known_in_events_and_seconds(
    mongo: Mongo, models: ReadModels, connection: Client, logs: Logs, nats: object
) -> None:
    client = LogClient(connection)
    await logs.happened(("stock-MUG", examples.received))
    async with projecting(mongo, connection, STOCK):
        await caught_up(mongo, logs, STOCK)
        assert await live_lag(models, client, "stock") == {"inventory": []}
    await logs.happened(("stock-MUG", examples.received), ("stock-MUG", examples.received))
    behind = (await live_lag(models, client, "stock"))["inventory"] or []
    assert [(item.model, item.context, item.events) for item in behind] == [("stock", "inventory", 2)]
    assert 0 < behind[0].seconds < 10 * HOLDS_SECONDS
