"""`make bench`: everything that is measured, in one run and one table.

`python -m tests.bench [PART…] [--orders N…]`: all parts by default; with --orders the whole system goes on to
so many orders (100,000 take about half an hour on two cores) and its memory is looked at on the way.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from tests.bench import (
    orders_http,
    projection,
    replay,
    replay_traffic,
    sealing,
    store,
    tokens,
    tracing,
    whole_orders,
)
from tests.bench.table import Row, show

PARTS: dict[str, Callable[[], Coroutine[Any, Any, list[Row]]]] = {
    "store": store.run,
    "http": orders_http.run,
    "sealing": sealing.run,
    "tokens": tokens.run,
    "tracing": tracing.run,
    "projection": projection.run,
    "replay": replay.run,
}
ONLY_IF_NAMED: dict[str, Callable[[], Coroutine[Any, Any, list[Row]]]] = {
    "replay-traffic": replay_traffic.run,
}


def main() -> None:
    """Measure what is asked for; exit status 1 if something is not as good as promised."""
    names = [*PARTS, "orders"]
    known = [*names, *ONLY_IF_NAMED]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(known)}; by default {', '.join(names)}")
    parser.add_argument(
        "--orders", type=int, nargs="+", default=[10_000], help="look at the memory at so many"
    )
    given = parser.parse_args()
    if unknown := set(given.parts) - set(known):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    rows: list[Row] = []
    for name in given.parts or names:
        sys.stderr.write(f"measuring {name}\n")
        measure = (PARTS | ONLY_IF_NAMED).get(name) or (lambda: whole_orders.run(tuple(sorted(given.orders))))
        rows += asyncio.run(measure())
    show(rows)
    raise SystemExit(0 if all(row.met for row in rows) else 1)


if __name__ == "__main__":
    main()
