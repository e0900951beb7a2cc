"""The embedded issuer of bearer tokens: an ES256 key pair on disk, its public half as JWKS, and minting."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode

ALGORITHM = "ES256"

DURATION = re.compile(r"(\d{1,6})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class SigningKeyMissing(Exception):
    """There is no usable key pair in the folder; the message names the fix."""


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all, durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Nobody else writes this draft, or could have made it beforehand to read what is written into it.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".draft")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def duration(text: str) -> timedelta:
    """Read `90s`, `15m`, `1h` or `30d`; raises ValueError."""
    match = DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        msg = f"{text!r} is no duration; write it like 90s, 15m, 1h or 30d"
        raise ValueError(msg)
    return timedelta(**{UNITS[match[2]]: int(match[1])})


class SigningKeys:
    """The key pair under `<data>/keys/`; whoever can read the folder can mint tokens."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self._public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        self.kid = thumbprint(self._public)

    @classmethod
    def ensure(cls, folder: Path) -> SigningKeys:
        """Load the key pair, or make one the first time; the JWKS file is there afterwards."""
        if private_file(folder).exists():
            keys = cls.load(folder)
        else:
            keys = cls(ec.generate_private_key(ec.SECP256R1()))
            write_secret(private_file(folder), keys.pem())
        write_secret(jwks_file(folder), json.dumps(keys.jwks(), indent=2).encode())
        return keys

    @classmethod
    def load(cls, folder: Path) -> SigningKeys:
        """Load the key pair; raises SigningKeyMissing."""
        path = private_file(folder)
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except FileNotFoundError:
            msg = f"there is no signing key {path}; `orderfold up --data {folder.parent}` makes one"
            raise SigningKeyMissing(msg) from None
        except (OSError, ValueError, TypeError) as error:
            msg = f"the signing key {path} cannot be read ({error}); delete it to have a new one made"
            raise SigningKeyMissing(msg) from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            msg = f"the signing key {path} is no P-256 key; delete it to have a new one made"
            raise SigningKeyMissing(msg)
        return cls(private)

    def pem(self) -> bytes:
        """The private key, PKCS #8."""
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public key as a JSON Web Key Set."""
        return {"keys": [{**self._public, "use": "sig", "alg": ALGORITHM, "kid": self.kid}]}

    def mint(
        self,
        scopes: Sequence[str],
        *,
        subject: str,
        lifetime: timedelta,
        issuer: str,
        audience: str,
        role: str = "staff",
    ) -> str:
        """A signed bearer token that is good from now on for `lifetime`; `role` is staff or customer."""
        now = datetime.now(UTC)
        claims: dict[str, object] = {
            "iss": issuer,
            "aud": audience,
            "sub": subject,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + lifetime,
            "jti": uuid.uuid4().hex,
            "role": role,
        }
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self.kid})


def private_file(folder: Path) -> Path:
    return folder / "signing.pem"


def jwks_file(folder: Path) -> Path:
    return folder / "jwks.json"


def thumbprint(members: dict[str, Any]) -> str:
    """A public key's id: its RFC 7638 thumbprint, the same wherever it is computed."""
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64url_encode(hashlib.sha256(canonical).digest()).decode()
