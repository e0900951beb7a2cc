"""Every read model rebuilt, compared, switched and rolled back while orders come in and clients look on."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from infra.embedded.stack import EmbeddedStack
from infra.event_log.client import LogClient
from infra.mongo import Mongo
from infra.nats.connection import connect
from read_models.registry import MODELS
from read_models.replay.diff import compare, sides_of
from read_models.replay.observed_lag import LOOK_SECONDS, ObservedLag
from read_models.replay.switch import rollback, switch
from tests.read_models.replay.traffic import Client, Orders, open_shop, running
from tests.support.deadlines import HOLDS_SECONDS, WHOLE_RUN_SECONDS
from tests.support.shop import Shop, eventually

BEFORE_SECONDS = 3.0
"""Traffic before the first rebuild, to see that the machine bears it."""


class Operator:
    """Somebody at a terminal, who names the stack by its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def says(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        result = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "orderfold", *arguments, "--data", str(self._folder)],
            capture_output=True,
            text=True,
            timeout=WHOLE_RUN_SECONDS,
            check=False,
        )
        assert result.returncode == 0, (arguments, result.stdout, result.stderr)
        return result.stdout


class Demonstration(msgspec.Struct, kw_only=True):
    """What was seen; times in seconds. `lag` is of the live versions, at the worst moment of each part."""

    history: int
    """Events there were before the traffic."""
    placed: int = 0
    slowest_order: float = 0.0
    p99_order: float = 0.0
    answers: int = 0
    wrong: list[str] = msgspec.field(default_factory=list)
    seconds: dict[str, float] = msgspec.field(default_factory=dict)
    lag: dict[str, float] = msgspec.field(default_factory=dict)
    differences: int = 0


def first_invoices(file: Path, invoices: int, slice_: Path) -> Path:
    """The first invoices of a file, in a file of their own."""
    packed = file.read_bytes()
    head, *rows = (gzip.decompress(packed) if file.suffix == ".gz" else packed).decode().splitlines()
    wanted = list(dict.fromkeys(row.partition(",")[0] for row in rows))[:invoices]
    chosen = set(wanted)
    slice_.write_text("\n".join([head, *(row for row in rows if row.partition(",")[0] in chosen)]) + "\n")
    return slice_


async def demonstrate(
    stack: EmbeddedStack,
    token: str,
    file: Path,
    rate: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Demonstration:
    """Import a file, then rebuild, compare, switch and roll back all models under traffic; verify.

    Without a rate, orders come in as fast as the machine can carry them out.
    """
    operator = Operator(stack.folder.root)
    async with Shop(stack.url, token) as shop, _lag_of(stack) as lag:
        # Fulfilments of imported orders go on after the import: that is history too.
        began = time.monotonic()
        await operator.says(
            "import",
            str(file),
            *("--profile", "online-retail", "--rejects", str(stack.folder.root / "rejects.csv")),
        )
        await open_shop(shop)
        await eventually(lambda: _idle(lag), bool, "history projected")
        seen = Demonstration(history=await _events(lag))
        seen.seconds["import"] = time.monotonic() - began
        say(f"imported {seen.history:,} events in {seen.seconds['import']:.1f} s")
        orders, client = Orders(shop, rate), Client(shop)
        async with running(orders, client) as wrong:

            @asynccontextmanager
            async def part(name: str) -> AsyncIterator[None]:
                began, lag.worst = time.monotonic(), 0.0
                yield
                seen.seconds[name], seen.lag[name] = time.monotonic() - began, lag.worst
                say(f"{name}: {seen.seconds[name]:.1f} s, live read models at most {lag.worst:.1f} s late")

            async with part("before"):
                await asyncio.sleep(BEFORE_SECONDS)
            async with part("rebuild"):
                await operator.says("replay", "start", "--all")
            async with part("compare"):
                seen.differences += await _differences(lag)
            async with part("switch"):
                for model in MODELS.values():
                    await switch(lag.mongo, model, wait=HOLDS_SECONDS)
            async with part("rollback"):
                for model in MODELS.values():
                    await rollback(lag.mongo, model, wait=HOLDS_SECONDS)
            wrong()
        seen.wrong = [*orders.wrong, *client.wrong]
        seen.placed, seen.answers = orders.placed, client.answers
        taken = sorted(orders.taken)
        seen.slowest_order, seen.p99_order = taken[-1], taken[int(len(taken) * 0.99)]
        began = time.monotonic()
        await eventually(lambda: _idle(lag), bool, "everything projected")
        seen.differences += await _differences(lag)
        await operator.says("verify", "--wait", "120")
        seen.seconds["verify"] = time.monotonic() - began
    return seen


class _Lag(ObservedLag):
    """The live versions' lag, and the worst since somebody set it back."""

    def __init__(self, mongo: Mongo, log: LogClient) -> None:
        super().__init__(mongo, log, list(MODELS.values()))
        self.mongo = mongo
        self.log = log
        self.worst = 0.0

    async def look(self) -> None:
        await super().look()
        self.worst = max(self.worst, self.seconds)


async def _idle(lag: _Lag) -> bool:
    return not lag.busy and lag.seconds == 0.0


async def _differences(lag: _Lag) -> int:
    """Documents that differ between the two versions of any model."""
    found = 0
    for name, model in MODELS.items():
        diff = await compare(lag.mongo, lag.log, model, *await sides_of(lag.mongo, name))
        assert (diff.blue.checksum == diff.green.checksum) == diff.clean
        found += diff.comparison.differences
    return found


async def _events(lag: _Lag) -> int:
    contexts = {context for model in MODELS.values() for context in model.contexts}
    return sum(max(heads) for heads in (await lag.log.all_heads(contexts)).values())


@asynccontextmanager
async def _lag_of(stack: EmbeddedStack) -> AsyncIterator[_Lag]:
    mongo = Mongo(stack.settings)
    nats = await connect(stack.settings, "demonstration")
    lag = _Lag(mongo, LogClient(nats))
    watching = asyncio.create_task(lag.watch())
    try:
        await asyncio.sleep(LOOK_SECONDS)
        yield lag
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await nats.close()
        mongo.close()
