"""Requests the decryption of personal data from the customers context. No key leaves that context."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from contexts.customers.personal_data import Encrypted, PersonalData
from contexts.messages import CustomerId
from infra.nats.request_reply import request_with_retry

REQUEST = "open"
SECONDS = 5.0


class OpenRequest(msgspec.Struct, frozen=True):
    """An encrypted value, and whom it is about."""

    customer_id: CustomerId
    encrypted: Encrypted = msgspec.field(name="sealed")


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """What was encrypted; None once its key was destroyed."""

    personal: PersonalData | None


async def disclose(nats: Client, customer_id: CustomerId, encrypted: Encrypted) -> PersonalData | None:
    """What was encrypted, None if the customer was forgotten; raises ContextUnavailable or ValueError."""
    asked = msgspec.json.encode(OpenRequest(customer_id, encrypted))
    answer = await request_with_retry(nats, "customers", REQUEST, asked, timeout=SECONDS)
    return msgspec.json.decode(answer, type=Opened).personal
