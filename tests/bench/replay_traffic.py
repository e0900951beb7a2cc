"""All read models rebuilt, switched and rolled back while 50 orders a second come in, on December 2010.

`python -m tests.bench replay-traffic`, or `python -m tests.bench.replay_traffic [INVOICES [RATE]]`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.bench.table import Row, show
from tests.read_models.replay.under_traffic import Demonstration, demonstrate, first_invoices
from tests.support.online_retail import DECEMBER
from tests.system.e2e.conftest import bearer
from tests.system.faults.invoices import write_invoices

INVOICES = 1_600
RATE = 50.0
SEED = 20101201


async def run(invoices: int = INVOICES, rate: float = RATE) -> list[Row]:
    """Measure on a stack of its own; clients must have seen nothing wrong, and nothing may differ."""
    with tempfile.TemporaryDirectory(prefix="orderfold-bench-") as name:
        folder = Path(name)
        file = folder / "history.csv"
        if DECEMBER.exists():
            first_invoices(DECEMBER, invoices, file)
        else:
            write_invoices(file, invoices, SEED)
        async with EmbeddedStack(folder / "data", port=free_port()) as stack:
            await stack.ready()
            seen = await demonstrate(stack, bearer(stack), file, rate, _say)
    for text in seen.wrong[:10]:
        sys.stderr.write(f"{text[:400]}\n")
    return _rows(seen, rate)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _rows(seen: Demonstration, rate: float) -> list[Row]:
    flawless = not seen.wrong and not seen.differences
    orders = f"{seen.placed:,} orders at {rate:g}/s on top of {seen.history:,} events"
    rows = [
        Row(
            f"seven read models rebuilt under traffic: {orders}",
            f"{len(seen.wrong):,} errors, {seen.differences:,} differences",
            f"{seen.answers:,} answers checked against their tokens",
            1.0 if flawless else 0.0,
            1.0,
        ),
        Row(
            "placing an order meanwhile",
            f"p99 {seen.p99_order * 1e3:,.0f} ms, slowest {seen.slowest_order * 1e3:,.0f} ms",
        ),
    ]
    rows += [
        Row(f"meanwhile: {name}", f"{seconds:.1f} s", f"live read models at most {seen.lag[name]:.1f} s late")
        for name, seconds in seen.seconds.items()
        if name in seen.lag
    ]
    return rows


if __name__ == "__main__":
    numbers = [float(text) for text in sys.argv[1:]]
    show(asyncio.run(run(*[int(number) for number in numbers[:1]], *numbers[1:])))
