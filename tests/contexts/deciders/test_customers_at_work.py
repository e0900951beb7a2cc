"""Customers on a real store and a real key store: what is stored is encrypted, and forgotten for good."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from contexts.customers.commands import ChangeEmail, ForgetCustomer, RegisterCustomer
from contexts.customers.encryption import Encryption
from contexts.customers.events import CustomerForgotten, CustomerRegistered, EmailChanged
from contexts.customers.key_shredder import KeyShredder
from contexts.customers.personal_data import PersonalData
from contexts.customers.service import customers
from infra.messages.commands import Accepted, RefusalKind, Refused, fingerprint
from infra.messages.events import Append, Metadata, NewEvent, StreamAppend
from infra.runtime.command_client import CommandClient
from infra.runtime.context import RunningContext
from infra.runtime.process import reacting
from infra.settings import Settings
from infra.vault import sqlite_table
from infra.vault.key_store import KeyMissing, KeyStore
from infra.vault.master_keys import MasterKeys, new_master_keys
from tests.support.at_work import AtWork, at_work
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.examples import ADA, BRISTOL, ada_registered

register = RegisterCustomer(customer_id="ada", name="Ada Byron", email="ada@example.org", address=BRISTOL)
change = ChangeEmail(customer_id="ada", email="countess@example.org")
PLAIN = (b"Ada Byron", b"ada@example.org", b"countess", b"1 Quay", b"BS1 4DJ")


@pytest.fixture
def masters() -> MasterKeys:
    return new_master_keys()


@pytest.fixture
async def keys(tmp_path: Path, masters: MasterKeys) -> AsyncIterator[KeyStore]:
    keys = KeyStore(f"sqlite:{tmp_path / 'vault' / 'keys.db'}", lambda: masters)
    yield keys
    await keys.close()


@pytest.fixture
async def shop(sqlite_store: str, keys: KeyStore) -> AsyncIterator[AtWork]:
    async with at_work(customers(keys), sqlite_store) as running:
        yield running


async def test_nothing_personal_is_stored_open(shop: AtWork, tmp_path: Path) -> None:
    await shop.accept(register)
    await shop.accept(change)
    written = contents(tmp_path)
    assert any(b"customers.EmailChanged" in content for content in written.values())
    for path, content in written.items():
        assert [text for text in PLAIN if text in content] == [], path


async def test_nobody_can_try_guesses_against_what_is_kept_of_a_command(
    shop: AtWork, keys: KeyStore, tmp_path: Path
) -> None:
    """It is to be known again while there is a key; once that is gone, so is all it could tell."""
    for command in (register, change):
        assert isinstance(await shop.send(command, type(command).__name__), Accepted)
        assert isinstance(await shop.send(command, type(command).__name__), Accepted)
        other = msgspec.structs.replace(command, email="mary@example.org")
        answer = await shop.send(other, type(command).__name__)
        assert isinstance(answer, Refused)
        assert answer.kind is RefusalKind.REUSED
    for command in (register, change):
        guessed = fingerprint(type(command).__name__, msgspec.json.encode(command))
        known = await shop.store.command(type(command).__name__)
        assert known is not None
        assert len(known.fingerprint) == len(guessed)
        assert not any(guessed in content for content in contents(tmp_path).values())
    await shop.accept(ForgetCustomer(customer_id="ada"))
    await keys.destroy(["ada"])
    answer = await shop.send(register, "RegisterCustomer")
    assert isinstance(answer, Refused)
    assert answer.rule == "customer ada has been forgotten"


async def test_nobody_is_not_to_be_changed(shop: AtWork, keys: KeyStore) -> None:
    assert "is not registered" in await shop.refuse(change, RefusalKind.UNKNOWN)
    with pytest.raises(KeyMissing):
        await keys.key("ada")


async def test_a_spoilt_key_is_told_and_nothing_is_encrypted_with_it(shop: AtWork, tmp_path: Path) -> None:
    await shop.accept(register)
    with sqlite3.connect(tmp_path / "vault" / "keys.db") as spoil:
        spoil.execute("UPDATE keys SET wrapped = x'00'")
    spoil.close()
    for command in (register, change):
        said = await shop.refuse(command, RefusalKind.UNAVAILABLE)
        assert "the key of ada in the key store was changed" in said


async def test_who_was_registered_before_there_were_keys_gets_one_with_the_first_change(
    shop: AtWork, keys: KeyStore
) -> None:
    stored = NewEvent("customers.CustomerRegistered", msgspec.json.encode(ada_registered))
    metadata = Metadata(time=datetime.now(UTC), causation_id="c", correlation_id="c", actor="tester")
    await shop.store.append(Append(streams=(StreamAppend("customer-ada", 0, (stored,), metadata),)))
    await shop.accept(change)
    _, changed = await shop.events("customer-ada")
    assert isinstance(changed, EmailChanged)
    assert isinstance(changed.personal, str)
    read = await Encryption(keys).read("ada", changed.personal)
    assert read == msgspec.structs.replace(ADA, email="countess@example.org")


async def test_what_was_encrypted_can_be_read_while_there_is_a_key(shop: AtWork, keys: KeyStore) -> None:
    await shop.accept(register)
    await shop.accept(change)
    registered, changed = await shop.events("customer-ada")
    assert isinstance(registered, CustomerRegistered)
    assert isinstance(changed, EmailChanged)
    assert registered.country == "GB"
    assert isinstance(changed.personal, str)
    privacy = Encryption(keys)
    ada = PersonalData(name="Ada Byron", email="countess@example.org", address=BRISTOL)
    assert await privacy.read("ada", changed.personal) == ada
    await keys.destroy(["ada"])
    assert await privacy.read("ada", changed.personal) is None


async def test_rules_see_through_the_seal(shop: AtWork) -> None:
    """The same registration again is no news; another one is refused."""
    await shop.accept(register)
    await shop.accept(register)
    await shop.refuse(msgspec.structs.replace(register, name="Mary"))
    assert len(await shop.events("customer-ada")) == 1


async def test_without_its_key_a_customer_cannot_be_changed(shop: AtWork, keys: KeyStore) -> None:
    """Which is so for the moment between being forgotten and the key's end, also on another process."""
    await shop.accept(register)
    await keys.destroy(["ada"])
    assert "being forgotten" in await shop.refuse(change, RefusalKind.UNAVAILABLE)


async def test_a_lost_key_store_is_told_from_a_forgotten_customer_who_can_be_forgotten_still(
    sqlite_store: str, keys: KeyStore, tmp_path: Path, masters: MasterKeys
) -> None:
    async with at_work(customers(keys), sqlite_store) as shop:
        await shop.accept(register)
    empty = KeyStore(f"sqlite:{tmp_path / 'other.db'}", lambda: masters)
    async with at_work(customers(empty), sqlite_store) as shop:
        assert "there is no key of ada" in await shop.refuse(change, RefusalKind.UNAVAILABLE)
        await shop.accept(ForgetCustomer(customer_id="ada"))
    await empty.close()


async def test_the_key_of_a_forgotten_customer_is_destroyed_also_if_nobody_was_there_to_do_it(
    shop: AtWork, keys: KeyStore
) -> None:
    """Killed between the event and the key, the next process finds what is due."""
    for customer_id in ("ada", "bob", "eve"):
        await shop.accept(msgspec.structs.replace(register, customer_id=customer_id))
    await shop.accept(ForgetCustomer(customer_id="ada"))
    assert not await keys.destroyed("ada")
    shredder = shredding(shop, keys)
    await shredder.start()
    await until_destroyed(keys, "ada")
    await shop.accept(ForgetCustomer(customer_id="bob"))
    await until_destroyed(keys, "bob")
    await shredder.stop()
    assert not await keys.destroyed("eve")
    (_, forgotten) = await shop.events("customer-ada")
    assert forgotten == CustomerForgotten(customer_id="ada")


async def test_a_key_is_not_left_in_the_files_because_they_were_read_when_it_was_destroyed(
    shop: AtWork, keys: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_table, "BUSY_SECONDS", 0.05)
    await shop.accept(register)
    reader = sqlite3.connect(tmp_path / "vault" / "keys.db", isolation_level=None)
    reader.execute("BEGIN")
    (wrapped,) = reader.execute("SELECT wrapped FROM keys").fetchone()
    await shop.accept(ForgetCustomer(customer_id="ada"))
    shredder = shredding(shop, keys)
    await shredder.start()
    await until_destroyed(keys, "ada")
    reader.close()
    async with asyncio.timeout(HOLDS_SECONDS):
        while any(wrapped in content for content in contents(tmp_path / "vault").values()):
            await asyncio.sleep(0.01)
    await shredder.stop()


async def test_a_key_that_came_back_with_a_backup_of_the_key_store_goes_again(
    shop: AtWork, keys: KeyStore, tmp_path: Path
) -> None:
    await shop.accept(register)
    with sqlite3.connect(tmp_path / "backup.db") as backup:
        taken = sqlite3.connect(tmp_path / "vault" / "keys.db")
        taken.backup(backup)
        taken.close()
    backup.close()
    await shop.accept(ForgetCustomer(customer_id="ada"))
    restored = KeyStore(f"sqlite:{tmp_path / 'backup.db'}", keys._masters)
    for store in (keys, restored):
        shredder = shredding(shop, store)
        await shredder.start()
        await until_destroyed(store, "ada")
        await shredder.stop()
    await restored.close()


async def test_keys_are_destroyed_once_the_key_store_is_back(
    shop: AtWork, keys: KeyStore, tmp_path: Path
) -> None:
    await shop.accept(register)
    await shop.accept(ForgetCustomer(customer_id="ada"))
    hidden = tmp_path / "vault-away"
    away = KeyStore(f"sqlite:{hidden / 'keys.db'}", new_master_keys)
    hidden.write_text("a file where the folder should be")
    shredder = shredding(shop, away)
    await shredder.start()
    with pytest.raises(Exception, match="cannot be used"):
        await away.destroyed("ada")
    hidden.unlink()
    await until_destroyed(away, "ada")
    await shredder.stop()
    await away.close()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def hears_nobody() -> None:
    """Customers listen to no other context."""


def shredding(shop: AtWork, keys: KeyStore) -> KeyShredder:
    nats = Client()
    streams = shop.streams
    running = RunningContext(
        store=shop.store,
        streams=streams,
        nats=nats,
        commands=CommandClient(nats),
        settings=Settings(),
        react=reacting(streams),
        has_received=lambda _: True,
        caught_up=hears_nobody,
    )
    return KeyShredder(running, keys)


async def until_destroyed(keys: KeyStore, customer_id: str) -> None:
    async with asyncio.timeout(HOLDS_SECONDS):
        while not await keys.destroyed(customer_id):
            await asyncio.sleep(0.01)
