"""What validating bearer tokens costs POST /v1/orders, and validating one for the first time in itself."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from statistics import median

from gateway.auth.jwks import KeySet
from gateway.auth.jwks_source import key_source
from gateway.auth.roles import role_names
from gateway.auth.tokens import TokenVerifier
from infra.security.development_issuer import SigningKeys, jwks_file
from infra.settings import Settings
from tests.bench.orders_http import CONNECTIONS, WARM_UP, ours, place
from tests.bench.table import Row

REQUESTS = 2_000
ROUNDS = 12
TOKENS = 1_000
LEAST_RATIO = 0.85


async def run() -> list[Row]:
    """Two gateways, one of which believes everybody, take turns, each with an ordering of its own."""
    with tempfile.TemporaryDirectory(prefix="orderfold-bench-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            with_, without = [
                await stack.enter_async_context(ours(folder / gateway, gateway=gateway))
                for gateway in ("gateway", "tests.bench.unproven")
            ]
            for port, token in (with_, without):
                await place(port, token, "warm", WARM_UP, CONNECTIONS)
            rates: dict[int, list[float]] = {with_[0]: [], without[0]: []}
            for turn in range(ROUNDS):
                for port, token in (with_, without) if turn % 2 else (without, with_):
                    load = await place(port, token, f"load-{turn}", REQUESTS, CONNECTIONS)
                    rates[port].append(load.rate)
        first = await first_time(folder)
    validated, believed = rates.values()
    ratio = median(mine / its for mine, its in zip(validated, believed, strict=True))
    return [
        Row(
            "POST /v1/orders, tokens validated",
            f"{median(validated):,.0f}/s",
            f"everybody believed {median(believed):,.0f}/s",
            ratio,
            LEAST_RATIO,
        ),
        Row("validating a token that was never shown before (ES256)", f"{first * 1e6:,.0f} µs"),
    ]


async def first_time(folder: Path) -> float:
    """Seconds one token takes."""
    keys = SigningKeys.ensure(folder / "keys")
    verifier = TokenVerifier(
        KeySet(key_source(str(jwks_file(folder / "keys")))), "bench", "bench", role_names(Settings())
    )
    tokens = [
        keys.mint(
            ["orders:write"], subject="bench", lifetime=timedelta(hours=1), issuer="bench", audience="bench"
        ).encode()
        for _ in range(TOKENS)
    ]
    await verifier.caller(tokens[0])
    begun = time.perf_counter()
    for token in tokens[1:]:
        await verifier.caller(token)
    return (time.perf_counter() - begun) / (TOKENS - 1)


if __name__ == "__main__":
    from tests.bench.table import show

    show(asyncio.run(run()))
