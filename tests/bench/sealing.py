"""What it costs to seal personal data: customers' commands with keys against the same without."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from contexts.customers.commands import ChangeEmail, CustomersCommand, RegisterCustomer
from contexts.customers.decider import decide
from contexts.customers.service import customers, stream_of
from contexts.messages import Command
from infra.runtime.context import Context, Session
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import new_master_keys
from tests.bench.table import Row
from tests.support.at_work import AtWork, at_work
from tests.support.examples import BRISTOL

CUSTOMERS = 4_000
AT_ONCE = 64
ROUNDS = 3


def plaintext(keys: KeyStore) -> Context:
    """The same context, storing what it is told as it is."""
    sealing = customers(keys)

    async def handle(session: Session, command: CustomersCommand) -> None:
        stream = stream_of(command)
        (customer,) = await session.load(stream)
        session.record(stream, decide(customer, command))

    return Context(
        name="customers",
        commands=sealing.commands,
        events=sealing.events,
        initial=sealing.initial,
        evolve=sealing.evolve,
        primary=sealing.primary,
        handle=handle,
    )


async def run() -> list[Row]:
    """Each in turn, several times; the best of each."""
    best = {"register": [0.0, 0.0], "change": [0.0, 0.0]}
    for _ in range(ROUNDS):
        for index, encrypted in enumerate((False, True)):
            with tempfile.TemporaryDirectory() as folder:
                for what, rate in (await measured(Path(folder), encrypted=encrypted)).items():
                    best[what][index] = max(best[what][index], rate)
    names = {"register": "registering customers, encrypted", "change": "changing e-mail addresses, encrypted"}
    return [
        Row(names[what], f"{encrypted:,.0f}/s", f"plaintext {plain:,.0f}/s", encrypted / plain)
        for what, (plain, encrypted) in best.items()
    ]


async def measured(folder: Path, *, encrypted: bool) -> dict[str, float]:
    """Commands a second."""
    masters = new_master_keys()
    keys = KeyStore(f"sqlite:{folder / 'keys.db'}", lambda: masters)
    context = customers(keys) if encrypted else plaintext(keys)
    async with at_work(context, f"sqlite:{folder / 'customers.db'}") as shop:
        registered = await rate(shop, register)
        changed = await rate(shop, change)
    await keys.close()
    return {"register": registered, "change": changed}


def register(number: int) -> RegisterCustomer:
    return RegisterCustomer(
        customer_id=f"c-{number}", name=f"Person {number}", email=f"p{number}@example.org", address=BRISTOL
    )


def change(number: int) -> ChangeEmail:
    return ChangeEmail(customer_id=f"c-{number}", email=f"new{number}@example.org")


async def rate(shop: AtWork, command: Callable[[int], Command]) -> float:
    free = asyncio.Semaphore(AT_ONCE)

    async def send(number: int) -> None:
        async with free:
            await shop.accept(command(number))

    began = time.perf_counter()
    await asyncio.gather(*(send(number) for number in range(CUSTOMERS)))
    return CUSTOMERS / (time.perf_counter() - began)
