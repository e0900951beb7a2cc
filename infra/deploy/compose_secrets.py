"""`python -m infra.deploy.compose_secrets FOLDER`: the secrets of the container stack, made once."""

from __future__ import annotations

import re
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.deploy.dev_ca import (
    AUTHORITY,
    AuthorityUnusable,
    admit_containers,
    certificate_file,
    key_file,
    make_certificates,
)
from infra.deploy.nats_keys import KeysUnusable, make_keys
from infra.embedded.data_folder import DataFolder
from infra.security.development_issuer import SigningKeyMissing, SigningKeys, write_secret
from infra.security.webhook_signature import new_secret
from infra.vault.master_keys import new_master_keys, write_master_keys

COMPOSE = Path(__file__).parents[2] / "compose.yaml"
STORE_SECRET = re.compile(r"^  (store_(\w+)): \{file:", re.MULTILINE)
POSTGRES_USERS = {
    "postgres": "postgres",
    **{context: secret for secret, context in STORE_SECRET.findall(COMPOSE.read_text())},
}
"""Users of PostgreSQL and the files of their passwords: each context's is a secret in compose.yaml."""
PASSWORDS = (
    *POSTGRES_USERS.values(),
    "mongo_root",
    "mongo_orderfold",
    "mongo_keyfile",
    "grafana",
)
PASSWORD_BYTES = 24
KEYFILE_BYTES = 192
"""MongoDB takes 6 to 1024 characters."""
MASTER_KEYS = "master-keys"
CERTIFICATES = "tls"
EDGE = "edge"
"""Who is reached from this machine."""
ISSUER = "orderfold-compose"
LISTED = 0o711
"""Of the folder within: who is let in at all is up to the folder around it."""
READABLE = 0o444
"""Of the files: containers run under users of their own, and see them one by one, by mounts."""


class MasterKeyGone(Exception):
    """The master keys of a stack that was used before are not there; the message says what to do."""


def make_secrets(root: Path, port: int, *, tls: bool = False) -> None:
    """Make what is missing.

    Raises OSError, KeysUnusable, SigningKeyMissing, MasterKeyGone or AuthorityUnusable.

    `tls`: with certificates, and by HTTPS from this machine.
    """
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
    master_keys = folder.keys / MASTER_KEYS
    if not master_keys.exists():
        if folder.environment.exists():
            raise MasterKeyGone(
                f"the master keys {master_keys} are missing, and without them no customer's data can be "
                f"read: restore them from their backup (where there is no customer yet, remove "
                f"{folder.environment})"
            )
        write_master_keys(master_keys, new_master_keys())
    make_keys(root / "nats")
    # For `orderfold token --data FOLDER` and `orderfold import --data FOLDER`.
    reached = {"ORDERFOLD_PORT": str(port), "ORDERFOLD_JWT_ISSUER": ISSUER}
    if tls:
        reached |= _certified(root.absolute() / CERTIFICATES)
    folder.write_environment(reached)
    for inner in (root / "passwords", root / "keys", root / "nats"):
        inner.chmod(LISTED)
        for file in inner.iterdir():
            file.chmod(READABLE)
    # No container needs it.
    (folder.keys / "signing.pem").chmod(0o600)


def _certified(folder: Path) -> dict[str, str]:
    """Make the certificates; how they are named to a process on this machine."""
    make_certificates(folder)
    admit_containers(folder)
    return {
        "ORDERFOLD_TLS_CA": str(certificate_file(folder, AUTHORITY)),
        "ORDERFOLD_GATEWAY_TLS_CERTIFICATE": str(certificate_file(folder, EDGE)),
        "ORDERFOLD_GATEWAY_TLS_KEY": str(key_file(folder, EDGE)),
    }


def run(
    folder: Annotated[Path, typer.Argument(help="Where they are, or will be.")] = Path(".compose"),
    port: Annotated[int, typer.Option(envvar="ORDERFOLD_PORT", help="Port it is published on.")] = 8080,
    *,
    tls: Annotated[bool, typer.Option("--tls", help="Certificates, too.")] = False,
) -> None:
    """Make the passwords, keys and secrets that compose.yaml mounts; those that exist stay as they are.

    With --tls the certificates that infra/deploy/compose/tls.yaml mounts besides.
    """
    try:
        make_secrets(folder, port, tls=tls)
    except (OSError, KeysUnusable, SigningKeyMissing, MasterKeyGone, AuthorityUnusable) as error:
        sys.stderr.write(f"compose_secrets: {error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    typer.run(run)
