"""What was copied or kept back before a customer was forgotten is as unreadable as the rest."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from contexts.customers.encryption import Encryption
from contexts.customers.events import EmailChanged
from contexts.customers.personal_data import PersonalData
from gateway.cli.erasure.files import search_files
from gateway.cli.erasure.search_terms import read_texts
from gateway.cli.keys import new
from infra.embedded.servers import ServerFailed
from infra.embedded.stack import EmbeddedStack
from infra.mongo import Mongo
from infra.nats.connection import connect
from infra.runtime.context import Unavailable
from infra.settings import Settings
from infra.sockets import free_port
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import MasterKeySource
from read_models import customers
from read_models.customers import CUSTOMERS, KeptCustomer
from read_models.projection.dead_letters import list_parked
from read_models.projection.model import Occurrence
from tests.read_models.replay.versions import kept_up_to_date
from tests.support.shop import Shop, eventually
from tests.system.e2e.commands import orderfold
from tests.system.e2e.conftest import bearer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

ADDRESS = {"line1": "17 Rue de l'Écluse", "city": "Besançon", "postcode": "25000", "country": "FR"}
PERSON = {"name": "Éloïse Quatremère", "email": "eloise.quatremere@example.org", "address": ADDRESS}
TEXTS = "Éloïse Quatremère\neloise.quatremere@example.org\n17 Rue de l'Écluse\nBesançon\n"


def stack_on(folder: Path) -> EmbeddedStack:
    """A stack of its own: these tests stop it, and start another on what is left of it."""
    return EmbeddedStack(folder, port=free_port(), environ={})


def back_up(data: Path, backup: Path) -> None:
    """Copy everything but keys while it is at work: stores as SQLite does it, the rest file by file."""
    (backup / "stores").mkdir(parents=True)
    for store in (data / "stores").glob("*.db"):
        copy_database(store, backup / "stores" / store.name)
    for folder in ("nats", "mongo", "logs", "provider"):
        shutil.copytree(data / folder, backup / folder, copy_function=copy_if_there)


def copy_if_there(source: str, to: str) -> None:
    """Copy a file of a server at work, which may delete it at this moment."""
    with suppress(FileNotFoundError):
        shutil.copyfile(source, to)


def copy_database(file: Path, to: Path) -> None:
    """Copy a SQLite file that is in use."""
    with closing(sqlite3.connect(file)) as live, closing(sqlite3.connect(to)) as copy:
        live.backup(copy)


def back_up_keys(data: Path, backup: Path) -> None:
    """Copy the key store and the master key: to be kept apart from everything else."""
    (backup / "vault").mkdir(parents=True)
    copy_database(data / "vault" / "customers.db", backup / "vault" / "customers.db")
    shutil.copytree(data / "keys", backup / "keys")


def encrypted_in(store: Path, customer_id: str) -> str:
    """What a store has of a customer's person."""
    with closing(sqlite3.connect(store / "customers.db")) as copy:
        (state,) = copy.execute(
            "SELECT state FROM stored_events WHERE originator_id = ?", (f"customer-{customer_id}",)
        ).fetchone()
    personal: str = json.loads(state)["personal"]
    return personal


async def opened(data: Path, keys: Path, customer_id: str, store: Path) -> PersonalData | None:
    """What the key store of one folder makes of it with the master keys of another."""
    settings = Settings(data=data, master_key_file=keys / "keys" / "master-keys")
    vault = KeyStore(settings.key_store_url, MasterKeySource(settings))
    try:
        return await Encryption(vault).read(customer_id, encrypted_in(store, customer_id))
    finally:
        await vault.close()


async def test_a_backup_holds_nothing_of_who_was_forgotten_since(tmp_path: Path) -> None:
    data, backup, keys, restored = (tmp_path / it for it in ("data", "backup", "keys", "restored"))
    texts = tmp_path / "texts"
    texts.write_text(TEXTS)
    async with stack_on(data) as stack, Shop(stack.url, bearer(stack)) as shop:
        await shop.stock("KEPT-MUG", 10)
        await shop.do("/v1/customers", {"customer_id": "eloise", **PERSON})
        await shop.customer("ada")
        await shop.order("kept-1", "eloise", {"KEPT-MUG": 1})
        await shop.order_becomes("kept-1", "confirmed")
        back_up(data, backup)
        back_up_keys(data, keys)
        assert search_files(backup, read_texts(texts)).found == []

        await shop.do("/v1/customers/eloise/forget")
        shutil.copytree(backup, data / "backups" / "monday")
        printed = await orderfold(stack, "verify", "--erased", "eloise", "--text", str(texts))
        assert " backups " in printed
        assert await opened(data, data, "eloise", backup / "stores") is None

        # Keys copied before undo it, with the master key of then: until that is exchanged and gone.
        again = await opened(keys, keys, "eloise", backup / "stores")
        assert again is not None
        assert again.name == PERSON["name"]
        await orderfold(stack, "keys", "rotate", "--data", str(data))
        for customer_id in ("eloise", "ada"):
            with pytest.raises(Unavailable, match="which is not among those configured"):
                await opened(keys, data, customer_id, backup / "stores")
        assert (await shop.get("/v1/customers/ada"))["name"] == "Ada Byron"

    shutil.copytree(backup / "stores", restored / "stores")
    # The payment provider's own books, which no backup of the shop goes back to.
    shutil.copytree(data / "provider", restored / "provider")
    with pytest.raises(ServerFailed, match="customers' data are encrypted, but the key store has no key"):
        async with stack_on(restored):
            pass
    await asyncio.to_thread(new, restored, Console(file=io.StringIO()), 2)
    async with stack_on(restored) as stack, Shop(stack.url, bearer(stack)) as shop:
        await restored_without_keys(stack, shop)


async def restored_without_keys(stack: EmbeddedStack, shop: Shop) -> None:
    """All that is not personal is there, and goes on; a person can be forgotten again."""
    order = await eventually(
        lambda: shop.look("/v1/orders/kept-1"), lambda answer: answer.status_code == 200, "the order"
    )
    assert (order.json()["status"], order.json()["customer_id"]) == ("confirmed", "eloise")
    answer = await eventually(
        lambda: shop.look("/v1/customers/eloise"), lambda answer: answer.status_code != 404, "the customer"
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "forgotten")
    await shop.customer("new")
    assert (await shop.get("/v1/customers/new"))["name"] == "Ada Byron"
    await shop.do("/v1/customers/eloise/forget")
    assert (await shop.get("/v1/customers/eloise"))["status"] == "forgotten"
    await orderfold(stack, "verify", "--erased", "eloise", "--text", "-", given=TEXTS)
    assert "clean: streams" in await orderfold(stack, "verify")


def cannot_take_it(document: KeptCustomer | None, occurrence: Occurrence) -> KeptCustomer:
    """A projection with a bug."""
    match occurrence.event:
        case EmailChanged():
            raise ValueError("a changed e-mail")
        case _:
            return customers.project(document, occurrence)


async def test_a_dead_letter_of_who_was_forgotten_cannot_be_read_and_is_retried(
    stack: EmbeddedStack, shop: Shop, mongo: Mongo
) -> None:
    await shop.do("/v1/customers", {"customer_id": "parked", **PERSON})
    await shop.get("/v1/customers/parked")
    stack.hold("read-models")
    nats = await connect(stack.settings, "test")
    bug = replace(CUSTOMERS, project=cannot_take_it)
    async with kept_up_to_date(mongo, nats, bug, CUSTOMERS.name):
        await shop.do("/v1/customers/parked/change-email", {"email": "eloise.q@example.org"})
        await eventually(
            lambda: list_parked(mongo, CUSTOMERS.name),
            lambda letters: [letter.event_id for letter in letters] == ["customer-parked@2"],
            "a dead letter",
        )
    await nats.close()
    await stack.release("read-models")
    await shop.do("/v1/customers/parked/forget")
    assert (await shop.get("/v1/customers/parked"))["status"] == "forgotten"

    erased = ("--erased", "parked", "--text", "-")
    told = await orderfold(stack, "verify", *erased, "--wait", "0", status=1, given=TEXTS)
    assert "the document in customers is not erased: 2 dead letters wait before it can be" in told
    assert "found text" not in told
    shown = json.loads(
        await orderfold(stack, "replay", "dead-letters", "show", "customers", "parked", "--json")
    )
    (event, forgotten) = shown[0]["events"]
    assert "sealed1." in event["data"]
    assert forgotten["name"] == "customers.CustomerForgotten"

    # The bug is corrected, which here was never elsewhere than above.
    await orderfold(stack, "replay", "dead-letters", "retry", "customers", "parked")
    assert "erased: nothing of parked" in await orderfold(stack, "verify", *erased, given=TEXTS)
    await orderfold(stack, "replay", "start", "customers")
    assert "clean: every document is the same" in await orderfold(stack, "replay", "diff", "customers")
    await orderfold(stack, "replay", "drop", "customers", "--yes")
    assert await list_parked(mongo, CUSTOMERS.name) == []


async def test_the_master_key_is_exchanged_while_customers_come_and_go(
    stack: EmbeddedStack, shop: Shop
) -> None:
    file = stack.folder.keys / "master-keys"
    before = file.read_text()

    async def register(number: int) -> None:
        await shop.do(
            "/v1/customers", {"customer_id": f"kept-{number}", **PERSON, "name": f"Person {number}"}
        )

    await register(0)
    coming = [asyncio.create_task(register(number)) for number in range(1, 200)]
    await orderfold(stack, "keys", "rotate", "--data", str(stack.folder.root))
    await asyncio.gather(*coming)
    assert len(file.read_text().splitlines()) == 1
    assert file.read_text() != before
    await shop.do("/v1/customers/kept-0/change-email", {"email": "new@example.org"})
    for number in (0, 1, 199):
        assert (await shop.get(f"/v1/customers/kept-{number}"))["name"] == f"Person {number}"
