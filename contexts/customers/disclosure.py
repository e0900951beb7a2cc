"""Asks customers to open what is sealed, for whoever may show it; no key ever leaves the context."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from contexts.customers.personal_data import PersonalData, Sealed
from contexts.messages import CustomerId
from infra.nats.request_reply import request_with_retry

REQUEST = "open"
SECONDS = 5.0


class OpenRequest(msgspec.Struct, frozen=True):
    """A sealed value, and whom it is about."""

    customer_id: CustomerId
    sealed: Sealed


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """What was sealed; None once its key was destroyed."""

    personal: PersonalData | None


async def disclose(nats: Client, customer_id: CustomerId, sealed: Sealed) -> PersonalData | None:
    """What was sealed, None if the customer was forgotten; raises ContextUnavailable or ValueError."""
    asked = msgspec.json.encode(OpenRequest(customer_id, sealed))
    answer = await request_with_retry(nats, "customers", REQUEST, asked, timeout=SECONDS)
    return msgspec.json.decode(answer, type=Opened).personal
