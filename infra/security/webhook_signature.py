"""Signed webhooks as Standard Webhooks has them: an HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

PREFIX = "whsec_"

TOLERANCE = timedelta(minutes=5)
"""How far a webhook's time may be from ours: an overheard one cannot be sent again later."""


class SecretUnusable(Exception):
    """The secret of the webhooks cannot be read; the message names the file and the fix."""


class SignatureInvalid(Exception):
    """A webhook that is not from whom it seems to be, or too old."""


def new_secret() -> str:
    """A fresh secret, as it stands in a secret file."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def parse_secret(text: str) -> bytes:
    """The key in a secret of the form `whsec_<base64>`; raises ValueError."""
    key = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    if len(key) < 16:
        raise ValueError("a secret of webhooks needs at least 16 bytes")
    return key


def read_secret(file: Path) -> bytes:
    """The key in a secret file; raises SecretUnusable."""
    try:
        return parse_secret(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        msg = f"{file} holds no webhook secret ({error}); it must be one line, {PREFIX}<base64 of 32 bytes>"
        raise SecretUnusable(msg) from None


def sign(key: bytes, webhook_id: str, time: datetime, body: bytes) -> dict[str, str]:
    """The headers that go with a webhook sent at `time`."""
    timestamp = str(int(time.timestamp()))
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(_digest(key, webhook_id, timestamp, body)).decode(),
    }


def verify(key: bytes, headers: Mapping[str, str], body: bytes, now: datetime | None = None) -> str:
    """The id of a genuine webhook; raises SignatureInvalid. `headers` are looked up in lower case."""
    try:
        webhook_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        signatures = headers["webhook-signature"].split()
        sent = datetime.fromtimestamp(int(timestamp), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        raise SignatureInvalid("the webhook's headers are missing or malformed") from None
    if abs((now or datetime.now(UTC)) - sent) > TOLERANCE:
        raise SignatureInvalid("the webhook's time is too far from ours")
    expected = _digest(key, webhook_id, timestamp, body)
    # Several signatures stand side by side while a sender changes its secret.
    if not any(hmac.compare_digest(expected, _signature(text)) for text in signatures):
        raise SignatureInvalid("the webhook's signature does not fit")
    return webhook_id


def _digest(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)


def _signature(text: str) -> bytes:
    version, _, encoded = text.partition(",")
    if version != "v1":
        return b""
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        # No base64, or not even ASCII.
        return b""
