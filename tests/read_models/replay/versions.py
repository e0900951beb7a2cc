"""Versions of a read model made by hand, and the commands run over them."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.client import Client

from infra.event_log.subscription import LogReader
from infra.mongo import Mongo, encode_document, replacing
from read_models.projection.model import ReadModel
from read_models.projection.projector import Projector
from tests.read_models.logs import Logs, eventually
from tests.read_models.replay.mongo_wire import Moment, tapped
from tests.support.subprocesses import communicate

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def kept_up_to_date(
    mongo: Mongo, nats: Client, model: ReadModel[Any], collection: str
) -> AsyncIterator[Projector[Any]]:
    """A projector of one version at work meanwhile; fails if it ended by itself."""
    reader = LogReader(nats, f"rm-{collection.replace('@', '_')}", model.contexts)
    projector = Projector(mongo, reader, model, collection=collection)
    stopping = asyncio.Event()
    running = asyncio.create_task(projector.run(stopping))
    try:
        yield projector
        assert not running.done()
    finally:
        stopping.set()
        await running


async def at_head(mongo: Mongo, logs: Logs, model: ReadModel[Any], collection: str) -> None:
    """Return when a version has everything the logs have."""
    heads = await logs.heads(model)

    async def there() -> bool:
        found = {item["_id"]: item["position"] for item in await mongo.find("checkpoints", {})}
        return all(
            found.get(f"{collection}/{context}/{partition}") == position
            for (context, partition), position in heads.items()
        )

    await eventually(there)


async def project_all(mongo: Mongo, nats: Client, logs: Logs, model: ReadModel[Any], collection: str) -> None:
    """Bring a version to the logs' heads, and leave it there."""
    async with kept_up_to_date(mongo, nats, model, collection):
        await at_head(mongo, logs, model, collection)


async def two_versions(mongo: Mongo, model: str) -> None:
    """Write down that a model has a second version beside the live one."""
    fields = {"live": model, "previous": None, "versions": [model, f"{model}@2"], "next": 3}
    await mongo.write("models", [replacing(model, encode_document(model, fields))])


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """The one line of a command that could not do what it was asked to."""
        assert (self.status, self.out) == (2, ""), self
        assert "Traceback" not in self.err, self.err
        (line,) = [line for line in self.err.splitlines() if line.startswith("orderfold: ")]
        return line

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return msgspec.json.decode(self.out)


@dataclass(frozen=True)
class Command:
    """`orderfold replay …` as its user runs it, on a test's servers."""

    nats_url: str
    mongo_url: str
    mongo_database: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further ones."""

    async def __call__(self, *arguments: str) -> Ended:
        """Run it to its end."""
        return await self.ends(await self.begin(*arguments))

    async def ends(self, process: Process) -> Ended:
        """Return when it has ended."""
        out, err = await communicate(process)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def gets_through(self, *arguments: str) -> Any:
        """Run it to its end, which is a good one; what it tells."""
        ended = await self(*arguments, "--json")
        assert (ended.status, ended.err) == (0, "")
        return ended.json

    async def is_killed(self, moment: Moment, *arguments: str) -> None:
        """Run it until it is killed at this moment."""
        async with tapped(self.mongo_url) as wire:
            process = await replace(self, mongo_url=wire.url).begin(*arguments)
            wire.end_at(moment, process.kill)
            await self.ends(process)
            assert wire.come.is_set(), f"{moment} never came, but {wire.asked}"

    async def loses_mongo(self, moment: Moment, *arguments: str) -> Ended:
        """Run it to its end, without MongoDB from this moment on."""
        async with tapped(self.mongo_url) as wire:
            wire.end_at(moment)
            ended = await replace(self, mongo_url=wire.url)(*arguments)
            assert wire.come.is_set(), f"{moment} never came, but {wire.asked}"
            return ended

    async def begin(self, *arguments: str) -> Process:
        """Have it begin."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "orderfold", "replay", *arguments),
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ORDERFOLD_")},
                "ORDERFOLD_NATS_URL": self.nats_url,
                "ORDERFOLD_MONGO_URL": self.mongo_url,
                "ORDERFOLD_MONGO_DATABASE": self.mongo_database,
                **self.settings,
                "COLUMNS": "200",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
