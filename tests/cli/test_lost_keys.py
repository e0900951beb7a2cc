"""The master key or the key store is gone while customers' data are encrypted: no new key is made."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import RunningStack, run, wait_until
from tests.support.deadlines import whole_run
from tests.support.examples import ADDRESS

pytestmark = [pytest.mark.slow, whole_run]


class Shop:
    """A running stack, asked over HTTP as staff."""

    def __init__(self, stack: RunningStack) -> None:
        token = stack.run("token").stdout.strip()
        self._client = httpx.Client(
            base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=40
        )

    def register(self, *names: str) -> None:
        for name in names:
            body = {"customer_id": name, "name": name, "email": f"{name}@example.org", "address": ADDRESS}
            answer = self._client.post("/v1/customers", json=body)
            assert answer.status_code == 201, answer.text
            wait_until(lambda name=name: self.customer(name).status_code == 200)  # type: ignore[misc]

    def customer(self, name: str) -> httpx.Response:
        return self._client.get(f"/v1/customers/{name}")

    def change(self, name: str) -> httpx.Response:
        return self._client.post(f"/v1/customers/{name}/change-email", json={"email": "new@example.org"})

    def ready(self) -> dict[str, dict[str, object]]:
        return dict(self._client.get("/health/ready").json()["checks"])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a stopped stack with the customers ann and bob."""
    stack = started(tmp_path_factory.mktemp("shop") / "data")
    Shop(stack).register("ann", "bob")
    stack.stop()
    return stack.folder


@pytest.fixture
def folder(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(stopped, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def running(folder: Path) -> Iterator[RunningStack]:
    """The same, running."""
    stack = started(folder)
    yield stack
    stack.stop()


def started(folder: Path) -> RunningStack:
    stack = RunningStack(folder)
    stack.says("is ready")
    return stack


def master_key(folder: Path) -> Path:
    return folder / "keys" / "master-keys"


def key_store(folder: Path) -> Path:
    return folder / "vault" / "customers.db"


def remove_key_store(folder: Path) -> None:
    for file in key_store(folder).parent.glob("customers.db*"):
        file.unlink()


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command ends with."""
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stdout + result.stderr
    return result.stderr


@pytest.mark.parametrize("gone", ["master key", "key store", "both"])
def test_nothing_starts_and_nothing_is_made_anew(folder: Path, gone: str) -> None:
    if gone != "key store":
        master_key(folder).unlink()
    if gone != "master key":
        remove_key_store(folder)
    for command in (["up"], ["keys", "new"], ["keys", "rotate"]):
        said = refused(run(*command, "--data", str(folder)))
        assert "the data of 2 customers cannot be read; restore it from its backup" in said
        assert "`orderfold keys new --lose-customers 2`" in said
    assert master_key(folder).exists() == (gone == "key store")
    assert key_store(folder).exists() == (gone == "master key")
    found = run("doctor", "--data", str(folder))
    assert found.returncode == 1
    assert "--lose-customers 2" in found.stdout


def test_what_is_given_up_by_number_is_lost_and_the_shop_goes_on(folder: Path) -> None:
    master_key(folder).unlink()
    assert "2 customers" in refused(run("keys", "new", "--lose-customers", "3", "--data", str(folder)))
    (folder / "keys" / "signing.pem").unlink()
    (folder / "keys" / "webhook-secret").unlink()
    shutil.rmtree(folder / "provider")
    done = run("keys", "new", "--lose-customers", "2", "--data", str(folder))
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        0,
        "the data of 2 customers can no longer be read",
    )
    stack = started(folder)
    for what in ("signing key: earlier tokens", "webhook secret: webhooks", "ledger of the payment sandbox"):
        assert f"made a new {what}" in stack.output
    shop = Shop(stack)
    shop.register("eve")
    assert shop.customer("eve").json()["name"] == "eve"
    answer = shop.change("ann")
    assert (answer.status_code, "lost with their key" in answer.text) == (409, True)
    assert shop.ready()["customer-keys"] == {"ok": True, "problem": None}
    assert stack.run("doctor").stdout.splitlines()[-1] == "nothing to fix"
    assert stack.run("verify").returncode == 0
    stack.stop()


def test_what_goes_missing_meanwhile_is_told_until_it_is_restored(running: RunningStack) -> None:
    """By every answer, readiness and doctor; a key store that is missing keeps its process from starting."""
    shop = Shop(running)
    for gone in (master_key(running.folder), key_store(running.folder)):
        kept = gone.rename(gone.with_name("kept"))
        for answer in (shop.customer("ann"), shop.change("ann")):
            assert answer.status_code == 503
            assert "does not answer" not in answer.json()["detail"]
            assert gone.name in answer.json()["detail"]
        wait_until(lambda name=gone.name: name in str(shop.ready()["customer-keys"]["problem"]))  # type: ignore[misc]
        assert not shop.ready()["customer-keys"]["ok"]
        found = running.run("doctor")
        assert (found.returncode, "restore" in found.stdout) == (1, True)
        if gone == key_store(running.folder):
            os.kill(running.pid("contexts"), signal.SIGKILL)
            wait_until(
                lambda: "customers' data are encrypted, but the key store has no key" in running.output
            )
            assert not gone.exists()
        kept.replace(gone)
        wait_until(lambda: shop.customer("ann").status_code == 200)
    done = running.run("keys", "rotate")
    assert (done.returncode, "2 keys are wrapped with the new master key" in done.stderr) == (0, True)
    assert shop.customer("ann").json()["name"] == "ann"


def test_an_older_key_store_tells_whose_keys_are_missing_and_opens_the_others(folder: Path) -> None:
    older = folder / "older.db"
    with closing(sqlite3.connect(key_store(folder))) as keys:
        keys.execute("VACUUM INTO ?", (str(older),))
    stack = started(folder)
    Shop(stack).register("eve", "mary")
    stack.stop()
    remove_key_store(folder)
    older.replace(key_store(folder))
    stack = started(folder)
    shop = Shop(stack)
    assert shop.customer("ann").json()["name"] == "ann"
    assert shop.customer("eve").status_code == 503
    assert "there is no key of eve" in shop.customer("eve").json()["detail"]
    wait_until(lambda: shop.ready()["customer-keys"]["problem"] is not None)
    assert "no key of 2 customers (eve, mary)" in str(shop.ready()["customer-keys"]["problem"])
    for command in ("doctor", "verify"):
        found = stack.run(command)
        assert (found.returncode, "--lose-customers 2" in found.stdout) == (1, True)
    assert "2 customers" in refused(stack.run("keys", "new"))
    assert stack.run("keys", "new", "--lose-customers", "2").returncode == 0
    assert (shop.customer("ann").status_code, shop.change("eve").status_code) == (200, 409)
    wait_until(lambda: shop.ready()["customer-keys"]["problem"] is None)
    stack.stop()


def test_rotating_refuses_when_keys_are_wrapped_with_a_master_key_that_is_not_there(folder: Path) -> None:
    before = master_key(folder).read_bytes()
    with sqlite3.connect(key_store(folder)) as keys:
        keys.execute("UPDATE keys SET master_id = 'gone' WHERE subject = 'ann'")
    keys.close()
    said = refused(run("keys", "rotate", "--data", str(folder)))
    assert "the master key 'gone', which is not among those configured" in said
    assert master_key(folder).read_bytes() == before
