"""The commands against a running stack: what they find, what they change, and what they tell."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import bson
import httpx
import jwt
import pytest
from pymongo import AsyncMongoClient

from gateway.cli.importer.columns import COLUMNS
from infra.embedded.data_folder import DataFolder
from tests.cli.conftest import RunningStack, command, environment, wait_until
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS

pytestmark = pytest.mark.slow


def write_invoices(path: Path, day: str, invoices: int, prefix: str) -> Path:
    """A file of invoices on one day, each of two lines of three shared products."""
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for number in range(invoices):
            for line in range(2):
                sku = f"{prefix}{(number + line) % 3}"
                writer.writerow(
                    [f"{prefix}{number}", sku, "Thing", 2, f"{day} 10:00", "1.25", 70 + number % 5, "France"]
                )
    return path


def documents(stack: RunningStack) -> AsyncMongoClient[dict[str, object]]:
    url = json.loads((stack.folder / "environment.json").read_text())["ORDERFOLD_MONGO_URL"]
    return AsyncMongoClient(url)


@asynccontextmanager
async def spoilt(stack: RunningStack, collection: str, key: str, **fields: object) -> AsyncIterator[None]:
    """A document with other fields than its events give it, for a while."""
    async with documents(stack) as client:
        database = client["orderfold"]
        raw = bson.codec_options.CodecOptions(document_class=bson.raw_bson.RawBSONDocument)
        whole = database.get_collection(collection, codec_options=raw)
        original = await whole.find_one({"_id": key})
        assert original is not None
        await database[collection].update_one({"_id": key}, {"$set": fields})
        yield
        await whole.replace_one({"_id": key}, original)


def test_the_sample_is_imported_and_reconciled(stack: RunningStack) -> None:
    assert "4,581.80" in stack.output


def test_doctor_finds_nothing_to_fix(stack: RunningStack) -> None:
    result = stack.run("doctor")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "nothing to fix"), result.stdout
    for name in ("contexts", "read-models"):
        assert re.search(rf"ok .* {name} .* ready; http://\S+/metrics", result.stdout)


def test_a_printed_token_opens_the_api_and_one_without_the_scope_does_not(stack: RunningStack) -> None:
    statuses = []
    for scopes in ("orders:read", "stock:read"):
        token = stack.run("token", "--scope", scopes).stdout.removesuffix("\n")
        answer = httpx.get(
            f"{stack.url}/v1/orders", headers={"Authorization": f"Bearer {token}"}, timeout=HOLDS_SECONDS
        )
        statuses.append(answer.status_code)
    assert statuses == [200, 403]


def test_a_customers_token_cannot_be_for_what_is_staffs(stack: RunningStack) -> None:
    """And says nothing of it unless it is asked for."""
    result = stack.run("token", "--customer", "ann", "--scope", "orders:write orders:price")
    assert (result.returncode, result.stdout) == (2, "")
    assert "a customer's token cannot have 'orders:price'" in result.stderr
    minted = stack.run("token", "--customer", "ann").stdout
    claims = jwt.decode(minted.strip(), options={"verify_signature": False})
    assert "orders:price" not in claims["scope"]
    assert "operate" not in claims["scope"]


def test_verify_finds_a_payment_of_an_order_that_there_is_not(stack: RunningStack) -> None:
    """The provider's books have no way back: this stays."""
    folder = DataFolder(stack.folder)
    provider = folder.read_environment()["ORDERFOLD_PROVIDER_URL"]
    body = {"order_id": "no-such", "amount": 950, "currency": "GBP", "payment_method": "tok_approve"}
    headers = {"Idempotency-Key": "no-such"}
    answer = httpx.post(f"{provider}/payments", json=body, headers=headers, timeout=HOLDS_SECONDS)
    assert answer.status_code == 201
    found = stack.run("verify", "--json", "--wait", "1")
    httpx.post(
        f"{provider}/payments/no-such/void",
        headers={"Idempotency-Key": "no-such:void"},
        timeout=HOLDS_SECONDS,
    )
    report = json.loads(found.stdout)
    assert (found.returncode, report["payments"]["compared"]) == (1, True)
    (difference,) = report["differences"]
    assert (difference["subject"], difference["key"]) == ("payments", "no-such")
    assert difference["what"] == "there is no such order, and the provider holds 950 GBP"


def test_verify_is_clean_and_says_so_in_json_too(stack: RunningStack) -> None:
    result = stack.run("verify", "--wait", "120", "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["clean"], report["differences"]) == (0, True, [])
    assert {model["model"]: model["documents"] for model in report["models"]}["orders"] == 14


async def test_verify_names_a_document_that_is_not_what_its_events_make_it(stack: RunningStack) -> None:
    async with spoilt(stack, "orders", "900001", customer_id="somebody else"):
        result = await asyncio.to_thread(stack.run, "verify", "--json")
    differences = json.loads(result.stdout)["differences"]
    assert result.returncode == 1
    assert differences == [
        {
            "subject": "orders",
            "what": "is not what its events make it",
            "key": "900001",
            "remedy": "orderfold replay repair orders --key 900001",
        }
    ]


async def test_verify_names_a_document_too_many_and_one_too_few(stack: RunningStack) -> None:
    async with documents(stack) as client:
        stock = client["orderfold"]["stock"]
        lost = await stock.find_one_and_delete({"_id": "22041"})
        assert lost is not None
        await stock.insert_one({"_id": "invented"})
        result = await asyncio.to_thread(stack.run, "verify", "--json")
        await stock.delete_one({"_id": "invented"})
        await stock.insert_one(lost)
    found = {difference["key"]: difference["what"] for difference in json.loads(result.stdout)["differences"]}
    assert found == {"22041": "is missing", "invented": "is there, though no event makes it"}


async def test_verify_names_a_checkpoint_that_the_store_never_reached(stack: RunningStack) -> None:
    async with documents(stack) as client:
        checkpoints = client["orderfold"]["checkpoints"]
        wanted = {"_id": {"$regex": "^customers/"}, "position": {"$gt": 0}}
        place = await checkpoints.find_one(wanted)
        assert place is not None
        await checkpoints.update_one({"_id": place["_id"]}, {"$set": {"position": 10_000}})
        result = await asyncio.to_thread(stack.run, "verify", "--json")
        async with httpx.AsyncClient(timeout=60) as http:
            checks = (await http.get(f"{stack.url}/health/ready")).json()["checks"]
        found = await asyncio.to_thread(stack.run, "doctor")
        await checkpoints.update_one({"_id": place["_id"]}, {"$set": {"position": place["position"]}})
    assert not checks["read-models"]["ok"]
    assert "customers is ahead of customers" in checks["read-models"]["problem"]
    assert (found.returncode, "`orderfold restore check`" in found.stdout) == (1, True)
    (difference,) = json.loads(result.stdout)["differences"]
    assert "but the store ends at" in difference["what"]


def test_a_second_import_changes_nothing_and_reconciles(stack: RunningStack, tmp_path: Path) -> None:
    file = write_invoices(tmp_path / "may.csv", "2023-05-01", 5, "MAY")
    first = stack.run("import", str(file), "--currency", "GBP", cwd=tmp_path)
    assert (first.returncode, "reconciled" in first.stdout) == (0, True), first.stdout + first.stderr
    heads = heads_of(stack)
    second = stack.run("import", str(file), "--currency", "GBP", cwd=tmp_path)
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert heads_of(stack) == heads


def heads_of(stack: RunningStack) -> dict[str, int]:
    report = json.loads(stack.run("verify", "--wait", "120", "--json").stdout)
    return {context["context"]: context["head"] for context in report["contexts"]}


def test_another_order_on_the_days_of_a_file_is_reported_as_a_difference(
    stack: RunningStack, tmp_path: Path
) -> None:
    one, other = (write_invoices(tmp_path / f"{name}.csv", "2023-06-01", 2, name) for name in ("JA", "JB"))
    assert stack.run("import", str(one), "--currency", "GBP", cwd=tmp_path).returncode == 0
    result = stack.run("import", str(other), "--currency", "GBP", cwd=tmp_path)
    assert result.returncode == 1
    assert "2023-06-01  file 2 orders, 8 units, 10.00; shop 4 orders, 16 units, 20.00" in result.stdout


def test_orders_that_cannot_be_reserved_are_reported_as_cancelled(
    stack: RunningStack, tmp_path: Path
) -> None:
    file = write_invoices(tmp_path / "short.csv", "2023-07-01", 2, "SHORT")
    result = stack.run("import", str(file), "--currency", "GBP", "--stock", "1", cwd=tmp_path)
    assert result.returncode == 1
    assert "cancelled: 2" in result.stdout


def test_an_import_goes_on_while_the_gateway_and_the_contexts_are_killed(
    stack: RunningStack, tmp_path: Path
) -> None:
    file = write_invoices(tmp_path / "long.csv", "2023-08-01", 150, "LONG")
    importing = subprocess.Popen(
        command("import", str(file), "--currency", "GBP", "--concurrency", "4", "--data", str(stack.folder)),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=tmp_path,
    )
    wait_until(lambda: httpx.get(f"{stack.url}/health/live", timeout=HOLDS_SECONDS).is_success)
    token = stack.run("token").stdout.strip()
    head = {"Authorization": f"Bearer {token}"}
    wait_until(
        lambda: httpx.get(f"{stack.url}/v1/orders/LONG3", headers=head, timeout=HOLDS_SECONDS).is_success
    )
    stack.kill("gateway")
    stack.kill("contexts")
    out, _ = importing.communicate(timeout=COMMAND_SECONDS)
    assert (importing.returncode, "reconciled" in out) == (0, True), out
    assert stack.run("verify", "--wait", "120").returncode == 0


def test_a_second_up_on_the_same_folder_is_one_line_and_status_2(stack: RunningStack) -> None:
    result = stack.run("up", "--port", str(stack.port + 1))
    assert result.returncode == 2
    in_use = f"the data folder {stack.folder} is in use by `orderfold up` (process {stack.process.pid})"
    assert result.stderr == f"orderfold: {in_use}; stop that first\n"


def test_the_processes_are_the_ones_the_pid_files_name(stack: RunningStack) -> None:
    for name in ("nats", "mongo", "provider", "contexts", "read-models", "gateway"):
        os.kill(stack.pid(name), 0)
