"""Everything is killed and what can be rebuilt is wiped while orders come in: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import operator
import random
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.embedded.stack import EmbeddedStack
from infra.security.development_issuer import SigningKeys
from infra.sockets import free_port
from tests.support.deadlines import WHOLE_RUN_SECONDS, whole_run
from tests.support.online_retail import DECEMBER, tally_by_hand
from tests.support.progress import tell
from tests.support.shop import Shop, eventually
from tests.support.subprocesses import communicate, end
from tests.system.faults.books import Books
from tests.system.faults.invoices import write_invoices

pytestmark = [pytest.mark.slow, whole_run]

INVOICES = 400
SEED = 20101201
VICTIMS = ("contexts", "read-models", "gateway", "nats", "mongo")
ROUNDS = 2
"""How often each of them is killed."""


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[EmbeddedStack]:
    """A stack of its own, which will suffer."""
    async with EmbeddedStack(tmp_path / "data", port=free_port()) as running:
        yield running


class Importing:
    """`orderfold import`, as a process that can be killed and started again."""

    def __init__(self, stack: EmbeddedStack, file: Path, rejects: Path) -> None:
        self._command = [
            *(str(Path(sys.executable).parent / "orderfold"), "import", str(file)),
            *("--data", str(stack.folder.root), "--rejects", str(rejects), "--overwrite-rejects"),
            *("--profile", "online-retail"),
        ]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Begin, or begin again."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )

    async def kill(self) -> None:
        """End it without warning."""
        assert self._process is not None
        await end(self._process)

    async def end(self) -> None:
        """Leave nothing behind when the test has failed."""
        if self._process is not None:
            await end(self._process)

    async def finish(self) -> None:
        """Wait for its end, which must be a reconciliation without differences."""
        assert self._process is not None
        said, _ = await communicate(self._process, seconds=WHOLE_RUN_SECONDS)
        assert self._process.returncode == 0, said.decode()


async def suffer(stack: EmbeddedStack, importing: Importing, books: Books, orders: int) -> None:
    """Kill one after the other, each after some more orders were paid since the last."""
    chance = random.Random(SEED)
    rounds = [(name, "kill") for name in VICTIMS] * ROUNDS
    rounds += [("nats", "wipe"), ("mongo", "wipe"), ("importer", "kill")]
    chance.shuffle(rounds)
    step = orders * 4 // 5 // len(rounds)
    for number, (name, how) in enumerate(rounds, 1):
        at_least = step * number + chance.randrange(step // 2)
        # Before the first order come all products, customers and receipts of stock.
        paid = partial(operator.le, at_least)
        await eventually(books.count, paid, f"{at_least} orders paid", WHOLE_RUN_SECONDS)
        if name == "importer":
            await importing.kill()
            await importing.start()
        elif how == "wipe":
            await stack.wipe(name)
        else:
            stack.kill(name)
        tell(f"{at_least:,} of {orders:,} orders paid, {number} of {len(rounds)} ends survived: {name} {how}")


class Sales(NamedTuple):
    """A file of invoices, and what each day of it sold: orders, units and revenue in pence."""

    file: Path
    days: dict[str, tuple[int, int, int]]


@pytest.fixture(params=["made from a seed", "December 2010"])
def sales(request: pytest.FixtureRequest, tmp_path: Path) -> Sales:
    """Invoices made up, and those of a real month where the data set is at hand."""
    if request.param == "made from a seed":
        file = tmp_path / "invoices.csv"
        return Sales(file, write_invoices(file, INVOICES, SEED))
    if not DECEMBER.exists():
        pytest.skip("the data set is not here")
    days, _, _ = tally_by_hand(DECEMBER)
    return Sales(
        DECEMBER,
        {day: (orders, units, int(revenue * 100)) for day, (orders, units, revenue) in days.items()},
    )


@pytest.fixture
async def importing(stack: EmbeddedStack, sales: Sales, tmp_path: Path) -> AsyncIterator[Importing]:
    """The import of the invoices, not yet begun."""
    importing = Importing(stack, sales.file, tmp_path / "rejects.csv")
    yield importing
    await importing.end()


async def test_an_import_through_kills_and_wipes_adds_up(
    stack: EmbeddedStack, sales: Sales, importing: Importing
) -> None:
    """Every invoice is sold once, to the penny; stores, streams and read models agree; nobody paid twice."""
    books = Books(stack.settings.provider_url)
    orders = sum(orders for orders, _, _ in sales.days.values())
    await importing.start()
    await suffer(stack, importing, books, orders)
    tell("the import goes on undisturbed")
    await importing.finish()

    # A second import changes nothing.
    tell("the import is repeated")
    paid = await books.payments()
    await importing.start()
    await importing.finish()
    assert await books.payments() == paid

    total = sum(revenue for _, _, revenue in sales.days.values())
    assert len(paid) == orders
    assert {payment["status"] for payment in paid} == {"authorized"}
    assert sum(payment["authorized"] for payment in paid) == total

    token = SigningKeys.load(stack.folder.keys).mint(
        ["reports:read"],
        subject="tally",
        lifetime=timedelta(hours=1),
        issuer=stack.settings.jwt_issuer,
        audience=stack.settings.jwt_audience,
    )
    async with Shop(stack.url, token) as shop:
        days = await shop.get("/v1/sales/daily", **{"from": min(sales.days), "to": max(sales.days)})
    told = {day["day"]: (day["orders"], day["units"], day["revenue"]["GBP"]) for day in days["items"]}
    assert told == sales.days

    verify = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "orderfold"),
        *("verify", "--wait", "120", "--data", str(stack.folder.root)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await communicate(verify)
    assert verify.returncode == 0, said.decode()
    await books.close()
