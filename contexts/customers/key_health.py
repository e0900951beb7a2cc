"""Asks customers whether every customer's data can be opened, for readiness and metrics."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from infra.nats.request_reply import request_with_retry

REQUEST = "keys"
SECONDS = 1.5


class KeyHealth(msgspec.Struct, frozen=True, tag="keys"):
    """What is wrong with customers' keys; `lasting` if no customer's data can be opened."""

    problem: str = ""
    lasting: bool = False


async def key_health(nats: Client) -> KeyHealth:
    """How customers' keys are; raises ContextUnavailable."""
    return msgspec.json.decode(
        await request_with_retry(nats, "customers", REQUEST, b"{}", timeout=SECONDS), type=KeyHealth
    )
