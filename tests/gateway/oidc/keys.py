"""Key pairs a provider signs with."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa


def new_key(kid: str) -> dict[str, Any]:
    """An RSA key pair as a JSON Web Key."""
    pair = jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048), as_dict=True)
    return {**pair, "kid": kid, "use": "sig", "alg": "RS256"}


def jwks(keys: list[dict[str, Any]]) -> str:
    return json.dumps({"keys": keys})
