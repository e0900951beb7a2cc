"""`python -m read_models replay`: replays survive being killed, and do what they are told meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from infra.mongo import Mongo, updating
from infra.servers import Process
from read_models.catalogue import MODELS
from read_models.orders import ORDERS
from read_models.replay.records import Replay, State, find_replay
from read_models.stock import STOCK
from read_models.versions import versions_of
from tests.conftest import Server
from tests.read_models.logs import Logs, caught_up, eventually, stored
from tests.replay.replaying import lives, projectors, shop_opened

ROOT = Path(__file__).parents[2]
SECONDS = 30.0


class Operator:
    """Somebody at a terminal of the stack under test."""

    def __init__(self, mongo: Mongo, folder: Path, environment: dict[str, str]) -> None:
        self._mongo = mongo
        self._folder = folder
        self._environment = environment
        self._processes: list[Process] = []

    async def says(self, *arguments: str) -> str:
        """What a command that succeeds prints."""
        result = await self.runs(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    async def is_told(self, *arguments: str) -> str:
        """The one line of a command that cannot do what it was asked to."""
        result = await self.runs(*arguments)
        assert (result.returncode, result.stdout) == (2, ""), result.stdout
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("read_models: ")]
        assert "Traceback" not in result.stderr
        return line

    async def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, run to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "read_models", "replay", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def begins(self, *arguments: str) -> Process:
        """A command that goes on in the background."""
        log = self._folder / f"{len(self._processes)}.log"
        process = Process(
            "replay",
            [sys.executable, "-m", "read_models", "replay", *arguments],
            log,
            lambda: True,
            env=self._environment,
        )
        process.start()
        self._processes.append(process)
        return process

    async def sees(self, state: State, model: str = "orders", done: int = 0) -> Replay:
        """The replay, once it has come to a state."""
        found: list[Replay] = []

        async def there() -> bool:
            replay = await find_replay(self._mongo, model)
            if replay is not None and replay.state is state and replay.done >= done:
                found.append(replay)
            return bool(found)

        await eventually(there)
        return found[0]

    def leaves(self) -> None:
        for process in self._processes:
            process.kill()


@pytest.fixture
def operator(
    mongo: Mongo, nats: Server, mongo_url: str, mongo_database: str, tmp_path: Path
) -> Iterator[Operator]:
    """An operator, whose commands are ended with the test."""
    settings = {
        "ORDERFOLD_NATS_URL": nats.url,
        "ORDERFOLD_MONGO_URL": mongo_url,
        "ORDERFOLD_MONGO_DATABASE": mongo_database,
        "ORDERFOLD_DATA": str(tmp_path / "data"),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }
    operator = Operator(mongo, tmp_path, {**os.environ, **settings})
    yield operator
    operator.leaves()


@pytest.mark.parametrize("source", ["stores", "jetstream"])
async def test_a_killed_replay_goes_on_where_it_was(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator, source: str
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 300))
    worker = operator.begins("start", "orders", "--rate", "400", "--from", source)
    await operator.sees(State.RUNNING, done=200)
    worker.kill()
    killed_at = await operator.sees(State.RUNNING)
    assert killed_at.done < killed_at.total
    resumed = operator.begins("resume", "orders", "--rate", "100000")
    ready = await operator.sees(State.READY)
    assert ready.done == ready.total == 1300
    async with projectors(connection, mongo, ORDERS):
        await caught_up(mongo, logs, ORDERS, "orders@2")
    assert await stored(mongo, "orders@2") == await logs.expected(ORDERS)
    await eventually(lambda: _ended(resumed))


async def _ended(process: Process) -> bool:
    return not process.running


async def test_a_replay_is_paused_hurried_resumed_and_cancelled(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 300))
    worker = operator.begins("start", "orders", "--rate", "100")
    await operator.sees(State.RUNNING, done=20)
    assert "is paused" in await operator.says("pause", "orders")
    paused = await _stands_still(mongo)
    assert 0 < paused.done < paused.total
    assert "cannot be paused" in await operator.is_told("pause", "orders")
    await operator.says("rate", "orders", "200")
    assert "being built" in await operator.says("resume", "orders")
    further = await operator.sees(State.RUNNING, done=paused.done + 50)
    assert further.limit == 200
    assert "is cancelled" in await operator.says("cancel", "orders")
    await eventually(lambda: _ended(worker))
    assert await stored(mongo, "orders@2") == {}
    assert "nothing to go on with" in await operator.is_told("resume", "orders")


async def _stands_still(mongo: Mongo) -> Replay:
    """The paused replay, once its worker has told twice the same."""
    before: list[Replay] = []

    async def still() -> bool:
        replay = await find_replay(mongo, "orders")
        assert replay is not None
        if before and before[-1].heartbeat == replay.heartbeat:
            return False
        same = bool(before) and before[-1].done == replay.done and replay.state is State.PAUSED
        before.append(replay)
        return same

    await eventually(still)
    return before[-1]


async def test_a_detached_replay_goes_on_without_its_terminal(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts, *STOCK.contexts)
    await logs.happened(*shop_opened(), *lives(0, 20))
    told = await operator.says("start", "orders", "stock", "--detach", "--rate", "2000")
    assert "orders@2" in told
    await operator.sees(State.READY)
    await operator.sees(State.READY, "stock")
    assert await stored(mongo, "stock@2") == await logs.expected(STOCK)
    found = {item["model"]: item for item in json.loads(await operator.says("status", "--json"))}
    assert [item["collection"] for item in found["orders"]["versions"]] == ["orders", "orders@2"]
    assert found["orders"]["replay"]["state"] == "ready"
    assert found["orders"]["versions"][1]["behind"] == 0
    table = await operator.says("status", "orders", "stock")
    assert "orders@2" in table
    assert "stock@2" in table


async def test_all_models_are_replayed_and_switched_when_nothing_differs(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*(context for model in MODELS.values() for context in model.contexts))
    await logs.happened(*shop_opened(), *lives(0, 20))
    async with projectors(connection, mongo, *MODELS.values()):
        told = await operator.says("start", "--all", "--switch")
        for name in MODELS:
            assert f"queries of {name} read {name}@2 now" in told
        assert {(await versions_of(mongo, name)).live for name in MODELS} == {f"{name}@2" for name in MODELS}


async def test_what_differs_is_not_switched_to_by_itself(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*STOCK.contexts)
    await logs.happened(*shop_opened())
    async with projectors(connection, mongo, STOCK):
        await caught_up(mongo, logs, STOCK)
        await mongo.write("stock", [updating({"_id": "MUG"}, {"on_hand": 99})])
        line = await operator.is_told("start", "stock", "--switch")
        assert "stock@2 is ready, but 1 documents differ from stock" in line
        assert (await versions_of(mongo, "stock")).live == "stock"


async def test_two_replays_of_one_model_are_refused(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts, *STOCK.contexts)
    await logs.happened(*lives(0, 300))
    worker = operator.begins("start", "orders", "--rate", "50")
    await operator.sees(State.RUNNING, done=10)
    assert "orders is being replayed into orders@2 already" in await operator.is_told("start", "orders")
    assert "orders is being replayed" in await operator.is_told("start", "stock", "orders")
    assert await find_replay(mongo, "stock") is None
    assert "orders@2 is not ready" in await operator.is_told("switch", "orders")
    worker.kill()
    assert "stopped half-way; `replay resume orders`" in await operator.is_told("start", "orders")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["start", "orderz"], "'orderz' is no read model; there are orders, products"),
        (["start"], "name read models"),
        (["start", "orders", "--all"], "name read models"),
        (["start", "orders", "--rate", "0"], "Invalid value"),
        (["start", "orders", "--from", "tape"], "Invalid value"),
        (["pause", "orders"], "orders was never replayed"),
        (["resume", "orders"], "orders was never replayed"),
        (["rollback", "orders"], "no version of orders to go back to"),
        (["drop", "orders"], "orders is the only version"),
    ],
)
async def test_nonsense_is_told_in_one_line(operator: Operator, arguments: list[str], told: str) -> None:
    assert told in await operator.is_told(*arguments)
