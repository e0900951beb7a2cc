"""Encrypted values: AES-256-GCM (NIST SP 800-38D), bound to whom they are about."""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12

MARK = "sealed1."
"""What an encrypted value begins with: its form, so that another can follow."""


class DecryptionFailed(Exception):
    """An encrypted value was changed, is about somebody else, or was encrypted with another key."""


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(KEY_BYTES)


def encrypt(key: bytes, plain: bytes, about: str) -> bytes:
    """A fresh nonce and what was encrypted with it; `about` has to be given again to decrypt."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, about.encode())


def decrypt(key: bytes, box: bytes, about: str) -> bytes:
    """What was encrypted; raises DecryptionFailed."""
    try:
        return AESGCM(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], about.encode())
    except (InvalidTag, ValueError) as error:
        raise DecryptionFailed(f"what is encrypted about {about} cannot be opened with this key") from error


def encrypt_text(key: bytes, plain: bytes, about: str) -> str:
    """A value as text that only `key` opens."""
    return MARK + base64.urlsafe_b64encode(encrypt(key, plain, about)).decode()


def decrypt_text(key: bytes, encrypted: str, about: str) -> bytes:
    """What was encrypted; raises DecryptionFailed."""
    try:
        box = base64.b64decode(encrypted.removeprefix(MARK), altchars=b"-_", validate=True)
    except ValueError as error:
        raise DecryptionFailed(f"what is encrypted about {about} is no encrypted value") from error
    return decrypt(key, box, about)
