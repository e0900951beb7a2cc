"""POST /v1/orders with only the gateway and ordering running, against a bare Litestar handler."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median

import httpx

from infra.embedded.mongo import mongo_server
from infra.embedded.servers import Process, listening, nats_server
from infra.security.development_issuer import SigningKeys, jwks_file
from infra.settings import load_settings
from infra.sockets import free_port
from infra.vault.master_keys import master_keys_file, new_master_keys, write_master_keys
from tests.bench.http_load import Load, post_all
from tests.bench.table import Row
from tests.support.examples import ADDRESS
from tests.support.shop import eventually

CONNECTIONS = 64
REQUESTS = 6_000
ROUNDS = 5
WARM_UP = 2_000
ALONE = 1_000
WARM_UP = 2_000
LEAST_RATIO = 0.2


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """A process that is stopped in the end."""
    process.start()
    try:
        yield process
    finally:
        process.stop()


def module(
    folder: Path, name: str, arguments: list[str], environ: Mapping[str, str], port: int = 0
) -> Process:
    """One of our own processes; ready when it listens on `port`, if it has one."""
    return Process(
        name,
        [sys.executable, "-m", *arguments],
        folder / f"{name}.log",
        lambda: not port or listening(port),
        env={**os.environ, **environ},
    )


def order(prefix: str, number: int) -> bytes:
    """The body of the n-th order."""
    return (
        f'{{"order_id":"{prefix}-{number}","customer_id":"bench","lines":[{{"sku":"MUG","quantity":2}},'
        f'{{"sku":"CUP","quantity":1}}],"payment_method":"tok_approve"}}'
    ).encode()


async def seed(url: str, token: str) -> None:
    """Two products and a customer, and wait until ordering has heard of them."""
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        tokens = []
        for sku in ("MUG", "CUP"):
            product = {"sku": sku, "name": sku, "unit_price": 950, "currency": "GBP"}
            answer = await client.post("/v1/products", json=product)
            tokens.append(answer.headers["Consistency-Token"])
        person = {"customer_id": "bench", "name": "B", "email": "b@example.org", "address": ADDRESS}
        answer = await client.post("/v1/customers", json=person)
        tokens.append(answer.headers["Consistency-Token"])
        placed = await client.post(
            "/v1/orders",
            content=order("seed", 0),
            headers={
                "Content-Type": "application/json",
                "Consistency-Token": ",".join(tokens),
                "Prefer": "wait=20",
            },
        )
        placed.raise_for_status()


async def place(port: int, token: str, prefix: str, requests: int, connections: int) -> Load:
    """Place orders, of which every one must be accepted."""
    load = await post_all(
        port,
        "/v1/orders",
        lambda number: order(prefix, number),
        token=token,
        requests=requests,
        connections=connections,
    )
    assert load.refused == 0, f"{load.refused} orders were not accepted"
    return load


@contextmanager
def bare(folder: Path) -> Iterator[int]:
    """The bare handler; yields its port."""
    port = free_port()
    command = ["granian", "--interface", "asgi", "--port", str(port), "--loop", "uvloop", "--no-ws"]
    with running(module(folder, "bare", [*command, "tests.bench.bare_app:app"], {}, port)):
        yield port


@asynccontextmanager
async def ours(
    folder: Path, further: Mapping[str, str] | None = None, *, gateway: str = "gateway"
) -> AsyncIterator[tuple[int, str]]:
    """The gateway and ordering alone, with further environment; yields the gateway's port and a token."""
    nats_port, mongo_port, port = free_port(), free_port(), free_port()
    keys = SigningKeys.ensure(folder / "keys")
    environ = {
        "ORDERFOLD_DATA": str(folder),
        "ORDERFOLD_NATS_URL": f"nats://127.0.0.1:{nats_port}",
        "ORDERFOLD_MONGO_URL": f"mongodb://127.0.0.1:{mongo_port}",
        "ORDERFOLD_PORT": str(port),
        "ORDERFOLD_JWKS": str(jwks_file(folder / "keys")),
        **(further or {}),
    }
    settings = load_settings(environ)
    write_master_keys(master_keys_file(settings), new_master_keys())
    token = keys.mint(
        ["orders:write", "catalog:write", "customers:write"],
        subject="bench",
        lifetime=timedelta(hours=1),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )
    with ExitStack() as stack:
        stack.enter_context(running(nats_server(folder / "nats", nats_port, free_port())))
        with running(mongo_server(folder / "mongo", mongo_port)):
            stack.enter_context(running(module(folder, "gateway", [gateway], environ, port)))
            contexts = ["contexts", "catalog", "customers", "ordering"]
            with running(module(folder, "contexts", contexts, environ)):
                await seed(f"http://127.0.0.1:{port}", token)
        stack.enter_context(running(module(folder, "ordering", ["contexts", "ordering"], environ)))

        async def answers() -> bool:
            load = await post_all(
                port, "/v1/orders", lambda n: order("ready", n), token=token, requests=1, connections=1
            )
            return load.refused == 0

        await eventually(answers, bool, "ordering answers")
        yield port, token


async def run() -> list[Row]:
    """Measure both in turns, so that whatever else the machine does meets both alike; medians count."""
    with tempfile.TemporaryDirectory(prefix="orderfold-bench-") as name, bare(Path(name)) as bare_port:
        async with ours(Path(name)) as (port, token):
            await place(bare_port, "none", "warm", WARM_UP, CONNECTIONS)
            await place(port, token, "warm", WARM_UP, CONNECTIONS)
            floors, rates = [], []
            for number in range(ROUNDS):
                floors.append((await place(bare_port, "none", "bare", REQUESTS, CONNECTIONS)).rate)
                rates.append((await place(port, token, f"load-{number}", REQUESTS, CONNECTIONS)).rate)
            alone = await place(port, token, "alone", ALONE, 1)
    ratio = median(rate / floor for rate, floor in zip(rates, floors, strict=True))
    return [
        Row(
            f"POST /v1/orders, {CONNECTIONS} connections, gateway and ordering alone",
            f"{median(rates):,.0f}/s",
            f"bare Litestar handler {median(floors):,.0f}/s",
            ratio,
            LEAST_RATIO,
        ),
        Row(
            "POST /v1/orders, one connection",
            f"p50 {alone.percentile(0.5) * 1e3:.1f} ms, p99 {alone.percentile(0.99) * 1e3:.1f} ms",
        ),
    ]


if __name__ == "__main__":
    from tests.bench.table import show

    show(asyncio.run(run()))
