"""Whoever signs bearer tokens, for tests: good ones and every kind of bad one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RSA_KID = "rsa-1"
EC_KID = "ec-1"


class Issuer:
    """One issuer with an RSA and a P-256 key."""

    name = "https://issuer.test"
    audience = "orderfold-test"

    def __init__(self, rsa: rsa.RSAPrivateKey, ec: ec.EllipticCurvePrivateKey) -> None:
        self.rsa = rsa
        self.ec = ec
        self.jwks_file = Path()

    @classmethod
    def another(cls) -> Issuer:
        """Somebody who says the same of himself, but has other keys."""
        return cls(rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1()))

    def jwks(self) -> dict[str, Any]:
        """The public keys."""
        rsa_key = jwt.algorithms.RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True)
        ec_key = jwt.algorithms.ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True)
        return {"keys": [{**rsa_key, "kid": RSA_KID}, {**ec_key, "kid": EC_KID, "use": "sig"}]}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """A good token's claims, with some changed; None leaves one out."""
        claims = {
            "iss": self.name,
            "aud": self.audience,
            "sub": "shop-1",
            "exp": int(time.time()) + 7_200,
            "scope": "",
            "role": "staff",
        } | changed
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, *, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any
    ) -> str:
        """A signed token."""
        key, kid = (self.rsa, RSA_KID) if algorithm == "RS256" else (self.ec, EC_KID)
        return jwt.encode(self.claims(**changed), key, algorithm, headers={"kid": kid} | (headers or {}))

    def unsigned(self, **changed: Any) -> str:
        """A token with `alg: none`."""
        return _joined({"alg": "none", "typ": "JWT", "kid": RSA_KID}, self.claims(**changed), b"")

    def confused(self, **changed: Any) -> str:
        """A token with `alg: HS256` whose secret is the public RSA key, which everybody has."""
        secret = self.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        header, claims = {"alg": "HS256", "typ": "JWT", "kid": RSA_KID}, self.claims(**changed)
        signed = _joined(header, claims, b"").rstrip(".").encode()
        return _joined(header, claims, hmac.digest(secret, signed, hashlib.sha256))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _joined(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(map(_encoded, parts))
