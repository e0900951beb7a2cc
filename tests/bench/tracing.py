"""What traces cost POST /v1/orders: off against a build without them, and on at two shares of sampling."""

from __future__ import annotations

import asyncio
import tempfile
import timeit
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from typing import Self

import psutil

from infra.messages.commands import Accepted, Envelope
from infra.messages.events import Append
from infra.observability import tracing
from infra.sockets import free_port
from tests.bench.http_load import Load
from tests.bench.orders_http import CONNECTIONS, module, ours, place, running
from tests.bench.table import Row
from tests.bench.untraced import write_untraced

REQUESTS = 1_000
PAIRS = 3
ROUNDS = 12
WARM_UP = 2_000
TIMES = 20_000
LEAST_RATIO = 0.98
UNTRACED = "untraced"

NOW = datetime.now(UTC)
ENVELOPE = Envelope(
    command_id="42", correlation_id="42", causation_id="42", actor="bench", time=NOW, deadline=NOW
)
ACCEPTED = Accepted("order-42", 1, 1, 1)
APPEND = Append()


class System:
    """One gateway and ordering, with what was measured of them."""

    def __init__(self, port: int, token: str, processes: set[psutil.Process]) -> None:
        self._port = port
        self._token = token
        # nats-server has the same to do for all of them.
        self._processes = [process for process in processes if "-m" in process.cmdline()]
        self._runs = 0
        self.rates: list[float] = []
        self.cpu: list[float] = []

    async def place(self, requests: int) -> Load:
        """Place orders."""
        self._runs += 1
        return await place(self._port, self._token, f"run-{self._runs}", requests, CONNECTIONS)

    async def measure(self) -> None:
        """Place orders, and note how many a second and how many milliseconds of CPU time each took."""
        before = self._cpu_seconds()
        self.rates.append((await self.place(REQUESTS)).rate)
        self.cpu.append((self._cpu_seconds() - before) / REQUESTS * 1e3)

    def _cpu_seconds(self) -> float:
        times = [process.cpu_times() for process in self._processes]
        return sum(it.user + it.system for it in times)

    @classmethod
    def all(cls, systems: Sequence[Self]) -> Self:
        """What was measured of several."""
        together = cls(0, "", set())
        for system in systems:
            together.rates += system.rates
            together.cpu += system.cpu
        return together

    def row(self, name: str, bare: System) -> Row:
        """The ratio to the system without instrumentation, of runs one after the other.

        Nothing is promised of it: runs of the very same build differ by 2 or 3 % from start to start.
        """
        return Row(
            f"POST /v1/orders, traces {name}",
            f"{median(self.rates):,.0f}/s, {mean(self.cpu) * 1e3:,.0f} µs of CPU time",
            f"not instrumented {median(bare.rates):,.0f}/s, {mean(bare.cpu) * 1e3:,.0f} µs",
            median(mine / its for mine, its in zip(self.rates, bare.rates, strict=True)),
        )


async def run() -> list[Row]:
    """Systems take turns, so that whatever else the machine does meets all alike."""
    with tempfile.TemporaryDirectory(prefix="orderfold-bench-") as name:
        folder = Path(name)
        assert write_untraced(folder / UNTRACED) > 0
        compared = [await off_and_bare(folder, number) for number in range(PAIRS)]
        rows = await on_and_bare(folder)
    off, bare = System.all([off for off, _ in compared]), System.all([bare for _, bare in compared])
    return [in_itself(bare), off.row("off", bare), *rows]


async def off_and_bare(folder: Path, number: int) -> tuple[System, System]:
    """Both, started anew: two processes of the very same build differ by more than what is looked for."""
    async with AsyncExitStack() as stack:
        bare = await started(stack, folder, f"bare-{number}", untraced(folder))
        off = await started(stack, folder, f"off-{number}", {})
        for turn in range(ROUNDS):
            for each in (bare, off) if turn % 2 else (off, bare):
                await each.measure()
        return off, bare


async def on_and_bare(folder: Path) -> list[Row]:
    """On, at two shares of sampling."""
    port = free_port()
    on = {"ORDERFOLD_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    async with AsyncExitStack() as stack:
        stack.enter_context(running(module(folder, "sink", ["tests.bench.otlp_sink", str(port)], {}, port)))
        bare = await started(stack, folder, "bare", untraced(folder))
        some = await started(stack, folder, "some", {**on, "ORDERFOLD_TRACE_SAMPLING": "0.01"})
        every = await started(stack, folder, "every", on)
        for _ in range(ROUNDS):
            for each in (bare, some, every):
                await each.measure()
        return [some.row("on, 1 % sampled", bare), every.row("on, all sampled", bare)]


def untraced(folder: Path) -> dict[str, str]:
    """The environment in which our modules are those without instrumentation."""
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(folder / UNTRACED)}


async def started(stack: AsyncExitStack, folder: Path, label: str, further: dict[str, str]) -> System:
    """A system that is warm, until the stack ends."""
    (folder / label).mkdir()
    before = set(psutil.Process().children())
    gateway, token = await stack.enter_async_context(ours(folder / label, further))
    system = System(gateway, token, set(psutil.Process().children()) - before)
    await system.place(WARM_UP)
    return system


def in_itself(bare: System) -> Row:
    """The instrumentation one order meets while traces are off, timed alone: no chance is in that."""
    seconds = min(timeit.repeat(one_order, number=TIMES, repeat=5)) / TIMES
    order_seconds = mean(bare.cpu) / 1e3
    return Row(
        "what traces cost an order while they are off",
        f"{seconds * 1e6:.2f} µs",
        f"CPU time of an order {order_seconds * 1e6:,.0f} µs",
        1 - seconds / order_seconds,
        LEAST_RATIO,
    )


def one_order() -> None:
    """Every span there would be in the gateway and in ordering, in a batch of its own."""
    with tracing.sending("ordering", "PlaceOrder", ENVELOPE) as sent:
        sent.carry({})
        tracing.answered(sent, ACCEPTED)
    with tracing.handling("ordering", "PlaceOrder", ENVELOPE) as handled:
        with tracing.loading("ordering", "order-42", shared=False):
            pass
        with tracing.appending("ordering", APPEND, shared=False):
            tracing.current_span()
        tracing.answered(handled, ACCEPTED)
    with tracing.committing("ordering", []):
        pass
    with tracing.publishing("ordering", [], []):
        pass


if __name__ == "__main__":
    from tests.bench.table import show

    show(asyncio.run(run()))
