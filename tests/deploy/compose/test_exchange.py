"""Secrets of the container stack exchanged: customers' master key, and the passwords of PostgreSQL's users.

A container keeps the file that was there when it was made: a hard link stands for such a mount.
"""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.deploy.compose_exchange import ExchangeRefused, add_master_key, drop_master_key, new_password
from infra.deploy.compose_secrets import POSTGRES_USERS, make_secrets
from infra.settings import Settings, SettingsInvalid
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import MasterKeySource
from tests.deploy.compose.stack import ROOT
from tests.support.deadlines import COMMAND_SECONDS
from tests.support.postgres_server import from_wheel, postgres_server

NOT_MOUNTED = 77
READ_ONLY = f"""
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit {NOT_MOUNTED}
shift
exec "$@"
"""


class Containers:
    """What containers of customers see: secrets that were there when they were made, and PostgreSQL."""

    def __init__(self, secrets: Path, mounts: Path, server: str) -> None:
        self._secrets = secrets
        self._mounts = mounts
        self._server = server.rpartition("/")[0].replace("postgres@", "customers@")
        mounts.mkdir()

    @property
    def settings(self) -> Settings:
        """Those of compose.yaml."""
        return Settings(
            store=f"{self._server}/customers",
            store_password_file=self._mounts / "store_customers",
            key_store=f"{self._server}/customer_keys",
            master_key_file=self._mounts / "master_keys",
        )

    def recreate(self) -> KeyStore:
        """A new process of customers, which sees the secrets as they are now."""
        for name, made in (
            ("store_customers", "passwords/store_customers"),
            ("master_keys", "keys/master-keys"),
        ):
            mounted = self._mounts / name
            mounted.unlink(missing_ok=True)
            mounted.hardlink_to(self._secrets / made)
        return KeyStore(self.settings.key_store_url, MasterKeySource(self.settings))

    def masters(self) -> tuple[str, ...]:
        """The ids of the master keys that customers have."""
        return MasterKeySource(self.settings)().ids

    def rotate(self) -> subprocess.CompletedProcess[str]:
        """`docker compose exec customers orderfold keys rotate`: secrets cannot be written there."""
        command = [sys.executable, "-m", "orderfold", "keys", "rotate"]
        if os.geteuid() == 0:
            command = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(self._mounts), *command]
        else:
            self._mounts.chmod(0o500)
        names = ("store", "store_password_file", "key_store", "master_key_file")
        given = {f"ORDERFOLD_{name.upper()}": str(getattr(self.settings, name)) for name in names}
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **given, "ORDERFOLD_DATA": str(self._mounts.parent / "data")},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        self._mounts.chmod(0o700)
        if ended.returncode == NOT_MOUNTED:
            pytest.skip("nothing can be mounted read-only here")
        return ended


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The secrets of a stack."""
    folder = tmp_path / "secrets"
    make_secrets(folder, 8080)
    return folder


@pytest.fixture(scope="module")
def asking_server() -> Iterator[str]:
    """A PostgreSQL that asks its users for passwords, all but `postgres`."""
    with postgres_server() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute("SHOW hba_file").fetchone()
            assert found is not None
            file = Path(found[0])
            file.write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield url


@pytest.fixture
def containers(secrets: Path, tmp_path: Path, asking_server: str) -> Iterator[Containers]:
    """Those of customers, with the databases that PostgreSQL's first start makes."""
    password = (secrets / "passwords" / "store_customers").read_text()
    with psycopg.connect(asking_server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE customers LOGIN PASSWORD '{password}'".encode())
        for name in ("customers", "customer_keys"):
            connection.execute(f"CREATE DATABASE {name} OWNER customers".encode())
        yield Containers(secrets, tmp_path / "mounts", asking_server)
        for name in ("customers", "customer_keys"):
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        connection.execute(b"DROP ROLE customers")


async def test_the_master_key_is_exchanged_step_by_step_and_every_key_stays_readable(
    secrets: Path, containers: Containers
) -> None:
    customers = containers.recreate()
    (old,) = containers.masters()
    key = await customers.make("ann")

    added = exchange(secrets, "new-master-key")
    current, kept = MasterKeySource(Settings(master_key_file=secrets / "keys" / "master-keys"))().ids
    assert (added, kept) == (f"the new master key is {current}; the old one is kept beside it\n", old)
    assert containers.masters() == (old,)
    assert await customers.key("ann") == key
    await customers.close()

    customers = containers.recreate()
    assert await customers.key("ann") == key
    rotated = await asyncio.to_thread(containers.rotate)
    assert rotated.returncode == 0, rotated
    assert (
        f"1 keys are wrapped with the new master key {current}; remove the old one, {old}" in rotated.stderr
    )
    assert await customers.key("ann") == key
    assert (await asyncio.to_thread(containers.rotate)).returncode == 0
    await customers.close()

    dropped = exchange(secrets, "drop-master-key", old)
    assert dropped == f"the master key {old} is gone; the current one is {current}\n"
    customers = containers.recreate()
    assert containers.masters() == (current,)
    assert await customers.key("ann") == key
    await customers.close()


async def test_in_a_container_that_knows_one_key_alone_nothing_is_exchanged(containers: Containers) -> None:
    customers = containers.recreate()
    key = await customers.make("ann")
    refused = await asyncio.to_thread(containers.rotate)
    assert refused.returncode == 2
    assert "holds one key and cannot be written here" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert len(containers.masters()) == 1
    assert await customers.key("ann") == key
    await customers.close()


def test_an_exchange_that_would_lose_a_master_key_is_refused(secrets: Path) -> None:
    file = secrets / "keys" / "master-keys"
    (only,) = MasterKeySource(Settings(master_key_file=file))().ids
    for name in (only, "other"):
        with pytest.raises(ExchangeRefused, match=name):
            drop_master_key(secrets, name)
    current = add_master_key(secrets).current
    both = file.read_bytes()
    with pytest.raises(ExchangeRefused, match=r"under way; go on with `orderfold keys rotate`"):
        add_master_key(secrets)
    with pytest.raises(ExchangeRefused, match=f"{current} is the current master key"):
        drop_master_key(secrets, current)
    assert file.read_bytes() == both
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    make_secrets(secrets, 8080)
    assert file.read_bytes() == both


def test_where_no_stack_was_made_nothing_is_exchanged(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        add_master_key(tmp_path)
    with pytest.raises(ExchangeRefused, match="`make compose-secrets` makes the first"):
        new_password(tmp_path, "catalog")
    assert list(tmp_path.iterdir()) == []


def enter(url: str, user: str, password: str) -> None:
    """Connect; raises psycopg.OperationalError."""
    psycopg.connect(url, user=user, password=password).close()


def test_a_password_is_exchanged_and_the_old_one_lets_nobody_in(secrets: Path, asking_server: str) -> None:
    file = secrets / "passwords" / "store_catalog"
    old = file.read_text()
    with psycopg.connect(asking_server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE catalog LOGIN PASSWORD '{old}'".encode())
    enter(asking_server, "catalog", old)

    statement = exchange(secrets, "new-password", "catalog")
    assert psql(asking_server, statement) == "ALTER ROLE\n"

    new = file.read_text()
    assert new != old
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    enter(asking_server, "catalog", new)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        enter(asking_server, "catalog", old)


def psql(url: str, told: str) -> str:
    """What psql says, as in `| docker compose exec -T postgres psql --username postgres`."""
    command = [str(from_wheel() / "psql"), "--no-psqlrc", "--set", "ON_ERROR_STOP=1", url]
    return subprocess.run(command, input=told, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("user", POSTGRES_USERS)
def test_every_user_of_postgresql_can_have_a_new_password(secrets: Path, user: str) -> None:
    others = {file: file.read_bytes() for file in (secrets / "passwords").iterdir()}
    mine = secrets / "passwords" / POSTGRES_USERS[user]
    old = others.pop(mine)
    statement = new_password(secrets, user)
    assert statement == f"ALTER ROLE \"{user}\" PASSWORD '{mine.read_text()}';\n"
    assert mine.read_bytes() != old
    assert {file: file.read_bytes() for file in others} == others


def test_another_user_is_none_and_a_terminal_sees_no_password(secrets: Path) -> None:
    with pytest.raises(ExchangeRefused, match="'mallory' is no user of PostgreSQL"):
        new_password(secrets, "mallory")
    before = (secrets / "passwords" / "postgres").read_bytes()
    here, terminal = os.openpty()
    with os.fdopen(here), os.fdopen(terminal, "w") as shown:
        refused = subprocess.run(
            [*EXCHANGE, "new-password", "postgres", "--secrets", str(secrets)],
            cwd=ROOT,
            stdout=shown,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert refused.returncode == 2
    assert refused.stderr.startswith("compose_exchange: it prints a password: send it on")
    assert refused.stderr.count("\n") == 1
    assert (secrets / "passwords" / "postgres").read_bytes() == before


EXCHANGE = (sys.executable, "-m", "infra.deploy.compose_exchange")


def exchange(secrets: Path, *arguments: str) -> str:
    """What `python -m infra.deploy.compose_exchange` says."""
    command = [*EXCHANGE, *arguments, "--secrets", str(secrets)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
