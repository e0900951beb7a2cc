"""`python -m infra.deploy.compose_exchange …`: exchange secrets of the container stack, see README.md."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.deploy.compose_secrets import MASTER_KEYS, PASSWORD_BYTES, POSTGRES_USERS, READABLE
from infra.embedded.data_folder import DataFolder
from infra.security.development_issuer import write_secret
from infra.settings import Settings, SettingsInvalid
from infra.vault.master_keys import MasterKeys, MasterKeySource, write_master_keys

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Folder = Annotated[Path, typer.Option("--secrets", help="Where the stack's secrets are.")]
SECRETS = Path(".compose")


class ExchangeRefused(Exception):
    """It would do harm or nothing; the message says why."""


def add_master_key(folder: Path) -> MasterKeys:
    """Put a new master key before the one there is. Raises ExchangeRefused, SettingsInvalid or OSError."""
    masters = _master_keys(folder)
    if len(masters.ids) > 1:
        raise ExchangeRefused(
            f"there are {len(masters.ids)} master keys already: an exchange is under way; go on with "
            f"`orderfold keys rotate` in a container of customers"
        )
    exchanged = masters.exchanged()
    _write_master_keys(folder, exchanged)
    return exchanged


def drop_master_key(folder: Path, name: str) -> MasterKeys:
    """Take a master key away. Raises ExchangeRefused, SettingsInvalid or OSError."""
    masters = _master_keys(folder)
    if name not in masters.ids:
        raise ExchangeRefused(f"there is no master key {name!r}")
    if name == masters.current:
        raise ExchangeRefused(f"{name} is the current master key: customers' keys are wrapped with it")
    left = masters.without(name)
    _write_master_keys(folder, left)
    return left


def new_password(folder: Path, user: str) -> str:
    """Make a PostgreSQL user's password anew; the statement for it. Raises ExchangeRefused or OSError."""
    try:
        file = folder / "passwords" / POSTGRES_USERS[user]
    except KeyError:
        raise ExchangeRefused(
            f"{user!r} is no user of PostgreSQL; these are: {', '.join(POSTGRES_USERS)}"
        ) from None
    if not file.exists():
        raise ExchangeRefused(
            f"there is no password {file} to exchange; `make compose-secrets` makes the first"
        )
    password = secrets.token_hex(PASSWORD_BYTES)
    write_secret(file, password.encode())
    file.chmod(READABLE)
    return f"ALTER ROLE \"{user}\" PASSWORD '{password}';\n"


def _file(folder: Path) -> Path:
    return DataFolder(folder).keys / MASTER_KEYS


def _master_keys(folder: Path) -> MasterKeys:
    return MasterKeySource(Settings(master_key_file=_file(folder)))()


def _write_master_keys(folder: Path, masters: MasterKeys) -> None:
    write_master_keys(_file(folder), masters)
    # Containers run under users of their own.
    _file(folder).chmod(READABLE)


@app.command("new-master-key")
def new_master_key_command(folder: Folder = SECRETS) -> None:
    """Put a new master key of customers' keys before the old one, for `orderfold keys rotate`."""
    masters = add_master_key(folder)
    sys.stdout.write(f"the new master key is {masters.current}; the old one is kept beside it\n")


@app.command("drop-master-key")
def drop_master_key_command(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="As `orderfold keys rotate` names it at its end.")
    ],
    folder: Folder = SECRETS,
) -> None:
    """Take an old master key away that no customer's key is wrapped with any more."""
    masters = drop_master_key(folder, name)
    sys.stdout.write(f"the master key {name} is gone; the current one is {masters.current}\n")


@app.command("new-password")
def new_password_command(
    user: Annotated[str, typer.Argument(help=f"One of {', '.join(POSTGRES_USERS)}.")],
    folder: Folder = SECRETS,
) -> None:
    """Make the password of a PostgreSQL user anew, and print the statement that tells PostgreSQL."""
    if sys.stdout.isatty():
        raise ExchangeRefused(
            "it prints a password: send it on with "
            "`| docker compose exec -T postgres psql --username postgres`"
        )
    sys.stdout.write(new_password(folder, user))
    sys.stdout.flush()


def main() -> None:
    """Run a command; one that is refused ends with a line and status 2."""
    try:
        app()
    except (ExchangeRefused, SettingsInvalid, OSError) as error:
        sys.stderr.write(f"compose_exchange: {error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
