"""`python -m infra.deploy.k8s.secrets DIR`: the Secrets of the overlay `dev`, for `kubectl apply -f -`."""

from __future__ import annotations

import base64
import json
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.deploy.nats_keys import PUBLIC_KEYS, KeysUnusable, make_keys, seed_file, users
from infra.embedded.data_folder import DataFolder
from infra.security.development_issuer import SigningKeyMissing, SigningKeys, jwks_file, write_secret
from infra.security.webhook_signature import new_secret
from infra.vault.master_keys import new_master_keys

CONTEXTS = Path(__file__).parent / "base" / "contexts"
"""A folder for each context, which has a database of its own."""

Content = dict[str, bytes]


def contents(folder: Path) -> dict[str, Content]:
    """Each Secret's keys and values; those that are not in the folder yet are made and kept there.

    Raises KeysUnusable, SigningKeyMissing, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make_keys(folder)
    # Where `orderfold token --data FOLDER` looks for them.
    keys = DataFolder(folder).keys
    SigningKeys.ensure(keys)
    found: dict[str, Content] = {
        "nats-users": {"users.conf": (folder / PUBLIC_KEYS).read_bytes()},
        "bearer-tokens": {"jwks.json": jwks_file(keys).read_bytes()},
        "customers-master-keys": {"master-keys": kept(folder / "master-keys", new_master_keys().text())},
        "payment-webhooks": {"secret": kept(folder / "webhook-secret", new_secret())},
        "postgres-superuser": {"password": kept(folder / "postgres", secrets.token_urlsafe(24))},
    }
    for user in users():
        found[f"nats-{user.replace('_', '-')}"] = {"nats.nk": seed_file(folder, user).read_bytes()}
    for context in sorted(path.name for path in CONTEXTS.iterdir() if path.is_dir()):
        password = kept(folder / f"postgres-{context}", secrets.token_urlsafe(24))
        found[f"postgres-{context}"] = {"username": context.encode(), "password": password}
    return found


def kept(file: Path, fresh: str) -> bytes:
    """What the file holds; `fresh` if there is none yet."""
    if not file.exists():
        write_secret(file, fresh.encode())
    return file.read_bytes()


def manifest(name: str, content: Content) -> dict[str, object]:
    """A Secret as Kubernetes knows it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "orderfold"}},
        "type": "kubernetes.io/basic-auth" if "username" in content else "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in content.items()},
    }


def run(
    folder: Annotated[Path, typer.Argument(help="Where keys and passwords are kept, or will be.")],
) -> None:
    """Print the Secrets the overlay `dev` refers to; keys and passwords that exist stay as they are."""
    try:
        found = contents(folder)
    except (KeysUnusable, SigningKeyMissing, OSError) as error:
        sys.stderr.write(f"secrets: {error}\n")
        raise SystemExit(2) from None
    listed = {"apiVersion": "v1", "kind": "List", "items": [manifest(*item) for item in found.items()]}
    sys.stdout.write(json.dumps(listed, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(run)
