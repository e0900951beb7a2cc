"""`python -m infra.compose_secrets FOLDER`: the secrets of the container stack, made once."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.data_folder import DataFolder
from infra.nats_keys import KeysUnusable, make_keys
from infra.signing_keys import SigningKeyMissing, SigningKeys, write_secret
from infra.vault.master_keys import new_master_keys, write_master_keys
from infra.webhook_signature import new_secret

CONTEXTS = ("catalog", "customers", "inventory", "ordering", "payments", "shipping", "fulfilment")
PASSWORDS = (
    "postgres",
    *(f"store_{context}" for context in CONTEXTS),
    "mongo_root",
    "mongo_orderfold",
    "mongo_keyfile",
    "grafana",
)
PASSWORD_BYTES = 24
KEYFILE_BYTES = 192
"""MongoDB takes 6 to 1024 characters."""
MASTER_KEYS = "master-keys"
ISSUER = "orderfold-compose"
LISTED = 0o711
"""Of the folder within: who is let in at all is up to the folder around it."""
READABLE = 0o444
"""Of the files: containers run under users of their own, and see them one by one, by mounts."""


def make_secrets(root: Path, port: int) -> None:
    """Make what is missing; raises OSError, KeysUnusable or SigningKeyMissing."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    folder = DataFolder(root)
    for name in PASSWORDS:
        file = root / "passwords" / name
        if not file.exists():
            size = KEYFILE_BYTES if name == "mongo_keyfile" else PASSWORD_BYTES
            write_secret(file, secrets.token_urlsafe(size).replace("-", "x").replace("_", "y").encode())
    SigningKeys.ensure(folder.keys)
    if not folder.webhook_secret.exists():
        write_secret(folder.webhook_secret, new_secret().encode("ascii"))
    if not (folder.keys / MASTER_KEYS).exists():
        write_master_keys(folder.keys / MASTER_KEYS, new_master_keys())
    make_keys(root / "nats")
    # For `orderfold token --data FOLDER` and `orderfold import --data FOLDER`.
    folder.write_environment({"ORDERFOLD_PORT": str(port), "ORDERFOLD_JWT_ISSUER": ISSUER})
    for inner in (root / "passwords", root / "keys", root / "nats"):
        inner.chmod(LISTED)
        for file in inner.iterdir():
            file.chmod(READABLE)
    # No container needs it.
    (folder.keys / "signing.pem").chmod(0o600)


def run(
    folder: Annotated[Path, typer.Argument(help="Where they are, or will be.")] = Path(".compose"),
    port: Annotated[int, typer.Option(envvar="ORDERFOLD_PORT", help="Port it is published on.")] = 8080,
) -> None:
    """Make the passwords, keys and secrets that compose.yaml mounts; those that exist stay as they are."""
    try:
        make_secrets(folder, port)
    except (OSError, KeysUnusable, SigningKeyMissing) as error:
        sys.stderr.write(f"compose_secrets: {error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    typer.run(run)
