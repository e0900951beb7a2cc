"""`python -m infra.deploy.nats_keys DIR`: a key pair for each NATS user; seeds as files, public keys."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import nkeys  # type: ignore[import-untyped]
import typer

from infra.security.development_issuer import write_secret

CONFIGURATION = Path(__file__).parent / "nats" / "nats-server.conf"
"""nats-server's configuration: who its users are. `python -m infra.deploy.nats` writes them into it."""

PUBLIC_KEYS = "users.conf"
"""What the configuration includes, from beside it."""

SUFFIX = "_NKEY"
_USED = re.compile(rf"^\s*nkey:\s*\$(\w+){SUFFIX}\s*$", re.MULTILINE)
SEED_BYTES = 32


class KeysUnusable(Exception):
    """The keys cannot be made or read; the message names the file and what to do."""


def variable(user: str) -> str:
    """The variable that stands for a user's public key in the configuration."""
    return user.upper() + SUFFIX


def users(configuration: Path = CONFIGURATION) -> tuple[str, ...]:
    """The users of a configuration, in its order; raises KeysUnusable."""
    try:
        text = configuration.read_text()
    except OSError as error:
        raise KeysUnusable(f"{configuration} cannot be read: {error.strerror}") from None
    return tuple(name.lower() for name in _USED.findall(text))


def seed_file(folder: Path, user: str) -> Path:
    """The file that a service connects with."""
    return folder / f"{user}.nk"


def new_seed() -> bytes:
    """A user's new private key."""
    return bytes(nkeys.encode_seed(os.urandom(SEED_BYTES), nkeys.PREFIX_BYTE_USER))


def public_key(path: Path) -> str:
    """The public key that belongs to a seed; raises KeysUnusable."""
    try:
        seed = path.read_bytes().strip()
        key = nkeys.from_seed(bytearray(seed)).public_key.decode()
    except OSError as error:
        raise KeysUnusable(f"{path} cannot be read: {error.strerror}") from None
    except Exception:  # noqa: BLE001 - the library lets several kinds of errors through
        raise KeysUnusable(f"{path} holds no nkey seed; delete it to have a new one made") from None
    if not key.startswith("U"):
        raise KeysUnusable(f"{path} holds another seed than a user's; delete it to have a new one made")
    return str(key)


def make_keys(folder: Path, *, anew: bool = False, configuration: Path = CONFIGURATION) -> list[Path]:
    """Make the seeds that are missing (or all, `anew`) and the file of the public keys; the seeds made.

    Raises KeysUnusable.
    """
    if folder.exists() and not folder.is_dir():
        raise KeysUnusable(f"{folder} is no folder")
    names = users(configuration)
    made = [seed_file(folder, name) for name in names if anew or not seed_file(folder, name).exists()]
    try:
        for path in made:
            write_secret(path, new_seed() + b"\n")
        lines = [f'{variable(name)}: "{public_key(seed_file(folder, name))}"\n' for name in names]
        (folder / PUBLIC_KEYS).write_text(
            "# Public keys, by `python -m infra.deploy.nats_keys`.\n" + "".join(lines)
        )
    except OSError as error:
        raise KeysUnusable(f"{folder} cannot be written to: {error.strerror}") from None
    return made


def run(
    folder: Annotated[Path, typer.Argument(help="Where the seeds and users.conf are, or will be.")],
    *,
    anew: Annotated[bool, typer.Option("--anew", help="Replace the seeds that exist.")] = False,
) -> None:
    """Make a key pair for each user of nats-server.conf: FOLDER/<user>.nk and FOLDER/users.conf.

    Seeds that exist stay as they are.
    """
    try:
        made = make_keys(folder, anew=anew)
    except KeysUnusable as error:
        sys.stderr.write(f"nats_keys: {error}\n")
        raise SystemExit(2) from None
    sys.stdout.write(f"{len(made)} seeds made in {folder}\n")


if __name__ == "__main__":
    typer.run(run)
