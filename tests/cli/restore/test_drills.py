"""Backups of different ages put in place, as an operator does it: what is told, what is mended, what is lost.

Every drill takes a stopped system, exchanges some of its parts for older ones or removes them, follows what
the commands say, and ends with a system whose parts fit together.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from contexts import NAMES as CONTEXTS
from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.cli.conftest import RunningStack, run
from tests.support.deadlines import HOLDS_SECONDS, whole_run
from tests.support.shop import Shop
from tests.system.e2e.conftest import bearer

pytestmark = [pytest.mark.slow, whole_run]

STORES = tuple(f"stores/{context}.db" for context in CONTEXTS)
LATE = ("late-1", "late-2", "late-3")


class Backups:
    """One system at two moments, both stopped."""

    def __init__(self, folder: Path) -> None:
        self.older = folder / "older"
        self.newer = folder / "newer"

    async def make(self) -> None:
        """Some orders, a backup, and more orders in other stages."""
        async with (
            EmbeddedStack(self.newer, port=free_port()) as stack,
            Shop(stack.url, bearer(stack)) as shop,
        ):
            await shop.stock("MUG", 100)
            await shop.customer("ada")
            for order_id in ("early-1", "early-2"):
                await shop.order(order_id, "ada", {"MUG": 1})
                await shop.stage_becomes(order_id, "awaiting-dispatch")
        await asyncio.to_thread(shutil.copytree, self.newer, self.older)
        async with (
            EmbeddedStack(self.newer, port=free_port()) as stack,
            Shop(stack.url, bearer(stack)) as shop,
        ):
            await shop.customer("eve")
            await shop.do("/v1/products/MUG/reprice", {"unit_price": 1_500})
            for order_id in LATE:
                await shop.order(order_id, "ada", {"MUG": 2})
                await shop.stage_becomes(order_id, "awaiting-dispatch")
            for order_id in ("early-1", "late-1"):
                parcel = {"carrier": "Royal Mail", "tracking": order_id}
                await shop.do(f"/v1/shipments/{order_id}/dispatch", parcel)
                await shop.order_becomes(order_id, "dispatched")
            await shop.do("/v1/orders/late-2/cancel", {"reason": "changed my mind"})
            await shop.stage_becomes("late-2", "cancelled")

    def mixed(self, folder: Path, *, older: tuple[str, ...] = (), removed: tuple[str, ...] = ()) -> Path:
        """The newer system with some parts older, and some not there."""
        shutil.copytree(self.newer, folder)
        for part in (*older, *removed):
            place = folder / part
            shutil.rmtree(place) if place.is_dir() else place.unlink()
            for beside in ("-wal", "-shm"):
                place.with_name(place.name + beside).unlink(missing_ok=True)
        for part in older:
            source = self.older / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / part)
        return folder


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Backups:
    made = Backups(tmp_path_factory.mktemp("backups"))
    asyncio.run(made.make())
    return made


@contextmanager
def started(folder: Path) -> Iterator[RunningStack]:
    stack = RunningStack(folder)
    try:
        stack.says("is ready")
        yield stack
    finally:
        stack.stop()


def refuses_to_start(folder: Path) -> None:
    """`up` ends with one short line that names the command, and not a command was accepted."""
    stack = RunningStack(folder)
    assert stack.process.wait(600) == 2
    last = stack.output.splitlines()[-1]
    assert "`orderfold restore check`" in last
    assert len(last) < 500
    assert "Traceback" not in stack.output


def restore(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("restore", *arguments, "--data", str(folder))


def mended(folder: Path, *options: str) -> list[dict[str, Any]]:
    """What is lost, after everything that `restore` does."""
    found = restore(folder, "check", *options)
    assert found.returncode == 1, found.stdout + found.stderr
    assert list(folder.glob("restored-*.jsonl")) == []
    done = restore(folder, "apply", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    again = restore(folder, "check")
    lost = [json.loads(line) for file in folder.glob("restored-*.jsonl") for line in file.open()]
    assert (again.returncode, "fit together" in again.stdout) == (0, True), again.stdout
    return lost


def differences(stack: RunningStack, wait: int = 120) -> list[tuple[str, str, str]]:
    """What `verify` finds: subjects, keys and what is wrong. Nothing is waited for that is there already."""
    report = json.loads(stack.run("verify", "--json", "--wait", str(wait)).stdout)
    return [(item["subject"], item["key"], item["what"]) for item in report["differences"]]


def orders(stack: RunningStack) -> dict[str, str]:
    """Every order's status, as clients see it."""
    headers = {"Authorization": f"Bearer {stack.run('token').stdout.strip()}"}
    answer = httpx.get(f"{stack.url}/v1/orders", headers=headers, timeout=60)
    return {item["order_id"]: item["status"] for item in answer.json()["items"]}


def become(stack: RunningStack, wanted: set[str]) -> set[str]:
    """The orders there are, asked for until they are those wanted or time is up."""
    end = time.monotonic() + HOLDS_SECONDS
    while (there := set(orders(stack))) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    return there


def books(stack: RunningStack) -> list[dict[str, Any]]:
    """The payments in the provider's books."""
    environment = json.loads((stack.folder / "environment.json").read_text())
    ledger = httpx.get(f"{environment['ORDERFOLD_PROVIDER_URL']}/ledger", timeout=60).json()
    return sorted(ledger["payments"], key=lambda payment: str(payment["order_id"]))


@pytest.fixture(scope="module")
def whole(
    backups: Backups, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What the newer system says when nothing was exchanged: orders and the provider's books."""
    with started(backups.mixed(tmp_path_factory.mktemp("whole") / "data")) as stack:
        assert differences(stack) == []
        return orders(stack), books(stack)


Whole = tuple[dict[str, str], list[dict[str, Any]]]


@pytest.mark.parametrize(
    "older",
    [("stores/ordering.db",), ("stores/payments.db", "stores/inventory.db"), STORES],
    ids=["one store", "two stores", "all stores"],
)
def test_what_the_streams_still_have_is_put_back_and_nothing_is_lost(
    backups: Backups, whole: Whole, tmp_path: Path, older: tuple[str, ...]
) -> None:
    folder = backups.mixed(tmp_path / "data", older=older)
    refuses_to_start(folder)
    assert [line for line in mended(folder) if line["type"] != "event"] == []
    with started(folder) as stack:
        assert differences(stack) == []
        assert (orders(stack), books(stack)) == whole


@pytest.mark.parametrize("part", ["mongo", "nats"])
def test_older_read_models_and_older_streams_mend_themselves(
    backups: Backups, whole: Whole, tmp_path: Path, part: str
) -> None:
    with started(backups.mixed(tmp_path / "data", older=(part,))) as stack:
        assert differences(stack) == []
        assert (orders(stack), books(stack)) == whole


def test_without_streams_what_is_lost_is_listed_before_anything_is_deleted(
    backups: Backups, tmp_path: Path
) -> None:
    """All stores are older, and nothing else remembers what came after them but documents and provider."""
    folder = backups.mixed(tmp_path / "data", older=STORES, removed=("nats",))
    refuses_to_start(folder)
    only_what_the_stores_have(folder, mended(folder))


def test_what_the_streams_still_have_can_be_discarded_and_is_listed(backups: Backups, tmp_path: Path) -> None:
    """The backup was put in place on purpose: what happened after it is to be undone."""
    folder = backups.mixed(tmp_path / "data", older=STORES)
    refuses_to_start(folder)
    lost = mended(folder, "--discard-published")
    assert {"ordering.OrderPlaced", "shipping.ShipmentDispatched"} <= {
        line["name"] for line in lost if line["type"] == "event"
    }
    only_what_the_stores_have(folder, lost)


def only_what_the_stores_have(folder: Path, lost: list[dict[str, Any]]) -> None:
    """What came after the older stores is listed and gone, and the system runs."""
    assert {line["order_id"] for line in lost if line["type"] == "order"} == set(LATE)
    documents = {line["order_id"]: line["document"] for line in lost if line["type"] == "order"}
    assert documents["late-1"]["status"] == "dispatched"
    payments = {line["order_id"]: line for line in lost if line["type"] == "payment"}
    assert payments.keys() == set(LATE)
    assert (payments["late-1"]["captured"], payments["late-3"]["held"]) == (3_000, 3_000)
    with started(folder) as stack:
        # Documents are built anew from the stores.
        assert become(stack, {"early-1", "early-2"}) == {"early-1", "early-2"}
        # Money that the provider has for orders that are no more is an operator's to give back.
        assert {key for subject, key, _ in differences(stack, wait=20) if subject != "payments"} == set()
