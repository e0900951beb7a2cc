"""An operator at a terminal of the stack under test, who types `replay` commands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded.servers import Process
from infra.mongo import Mongo
from read_models.replay.state import Replay, State, find_replay
from tests.conftest import Server
from tests.read_models.logs import eventually
from tests.support.deadlines import COMMAND_SECONDS

ROOT = Path(__file__).parents[3]
SLOWLY = "10"
"""Events a second: a replay of a thousand is at work for as long as any test of it needs."""


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
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("orderfold: ")]
        assert "Traceback" not in result.stderr
        return line

    async def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, run to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "orderfold", "replay", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def begins(self, *arguments: str) -> Process:
        """A command that goes on in the background."""
        log = self._folder / f"{len(self._processes)}.log"
        process = Process(
            "replay",
            [sys.executable, "-m", "orderfold", "replay", *arguments],
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


async def ended(process: Process) -> bool:
    """Whether a command that went on in the background has ended."""
    return not process.running
